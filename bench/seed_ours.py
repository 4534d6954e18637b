"""Fills our database as users would: `python -m bench.seed_ours`, with the environment of casexchange.

Reads a JSON object from stdin: `configuration`, the content of a file for load_exchange; `changes`, the number of
changes to give to the partners in turn; `comments`, the number of public comments on each. Prints the tokens of
partners and agents as a JSON object. Every save has its own transaction and its own wake-up.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from io import StringIO
from typing import Any

import django
from django.core.management import call_command

from .content import AGENTS, COMMENT, PROPERTIES, SYSTEMS, authorized_user, external_group


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    wanted = json.load(sys.stdin)
    tokens = {}
    if wanted.get("configuration"):
        call_command("migrate", verbosity=0)
        call_command("load_exchange", wanted["configuration"], stdout=sys.stderr)
        users = {system_id: authorized_user(system_id) for system_id in SYSTEMS} | {name: name for name in AGENTS}
        tokens = {name: _token(username) for name, username in users.items()}
    _add_changes(wanted["changes"], wanted["comments"])
    json.dump(tokens, sys.stdout)


def _token(username: str) -> str:
    printed = StringIO()
    call_command("create_api_token", username, stdout=printed)
    return printed.getvalue().strip()


def _add_changes(changes: int, comments: int) -> None:
    from django.contrib.auth import get_user_model

    from changes.actor import acting
    from changes.models import Change, Comment, SupportGroup

    alice = get_user_model().objects.get(username="alice")
    fields: dict[str, Any] = {name: value for name, value in PROPERTIES.items() if name != "owning_group"}
    fields |= {name: datetime.fromisoformat(PROPERTIES[name]) for name in ("planned_start", "planned_end")}
    groups = [SupportGroup.objects.get(name=external_group(system_id)) for system_id in SYSTEMS]
    with acting(alice):
        made = []
        for number in range(changes):
            change = Change(**fields, requested_by=alice, owning_group=groups[number % len(groups)])
            change.save()
            made.append(change)
        for _ in range(comments):
            for change in made:
                Comment(change=change, author=alice, body=COMMENT).save()


if __name__ == "__main__":
    main()
