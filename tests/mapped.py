"""A mapped system for tests that only need one to be there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from integrations.models import ExternalSystem

DOCUMENT = """\
# The tickets of the building's own desk.
base_url: http://127.0.0.1:9/api
auth: {kind: bearer, token: "{{ secret.API_KEY }}"}
outgoing:
  Assign:
    - name: create
      post: /tickets
      expect: [201]
      json: {number: "{{ change.number }}", subject: "{{ change.title }}"}
      result: {external_id: "{{ body.id }}"}
  Cancel:
    - {name: drop, delete: "/tickets/{{ external_id }}"}
poll:
  every: 60
  list: {get: /news, query: {after: "{{ cursor or 0 }}"}, items: "{{ body }}"}
  cursor: "{{ item.id }}"
  external_id: "{{ item.ticket }}"
  operation: {operation: Update, key: "{{ item.id }}", comments: [{body: "{{ item.text }}"}]}
inbox:
  verify: {kind: token}
  operations:
    - when: "{{ body.text }}"
      operation: Update
      external_id: "{{ body.ticket }}"
      comments: [{body: "{{ body.text }}"}]
"""


def mapped_system(system_id: str, group: str, user: Any = None) -> ExternalSystem:
    """A mapped system with a group."""
    from tests.factories import ExternalGroupFactory, ExternalSystemFactory

    account = {"authorized_user": user} if user else {}
    system = ExternalSystemFactory(system_id=system_id, endpoint_url="", **account)
    ExternalGroupFactory(group__name=group, system=system)
    make_mapped(system)
    return system


def make_mapped(system: ExternalSystem) -> None:
    """Gives the system an active document, and its secret."""
    from integrations.connections import revisions, secrets

    system.delivery = "mapped"
    system.save()
    secrets.write(system, {"API_KEY": "a-secret-key-9"})
    revisions.activate(system, DOCUMENT, None, "The first one")
    system.refresh_from_db()
