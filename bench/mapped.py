"""Drains the 5,000 waiting operations through a mapped document of one call. The comparison is the push drain.

The large row repeats it in a database whose log has a million delivered operations and attempts.
"""

from __future__ import annotations

from . import checks
from .content import SYSTEMS
from .figures import Figure
from .outgoing import DATABASE, Drained, drain_database, drain_ours
from .seeding import OurSeed, copy_ours, seed_operations
from .session import Session
from .stack import OURS

_CHANGES, _COMMENTS = 500, 9
_LOG_CHANGES, _LOG_OPERATIONS = 100_000, 1_000_000
_DOCUMENT = """\
base_url: {url}
auth: {{kind: bearer, token: "{{{{ secret.TOKEN }}}}"}}
tables:
  priority: {{Critical: 1, High: 2, Medium: 3, Low: 4, default: 3}}
outgoing:
  Assign: &call
    - name: send
      post: /{{{{ system }}}}
      json:
        number: "{{{{ change.number }}}}"
        operation: "{{{{ operation }}}}"
        title: "{{{{ change.title }}}}"
        description: "{{{{ change.description }}}}"
        priority: "{{{{ change.priority|table('priority') }}}}"
        due: "{{{{ change.planned_end|date or omit }}}}"
        comment:
          author: "{{{{ comment.author if comment else omit }}}}"
          text: "{{{{ comment.body if comment else omit }}}}"
      result: {{external_id: "{{{{ body.external_id }}}}"}}
  Update: *call
"""
_REVISIONS = """
INSERT INTO integrations_connectionrevision (system_id, number, document, reason, activated_at)
SELECT id, 1, %s, '', now() FROM integrations_externalsystem"""
_MAPPED = """
UPDATE integrations_externalsystem s SET delivery = 'mapped', connection_id = r.id
FROM integrations_connectionrevision r WHERE r.system_id = s.id"""
_ROWS = {
    "open": "SELECT count(*) FROM integrations_outgoingoperation WHERE status <> 'Delivered'",
    "attempts of the document": "SELECT count(*) FROM integrations_deliveryattempt"
    " WHERE step = 'send' AND revision = 1",
    "changes without a reference": "SELECT count(*) FROM integrations_exchange e WHERE NOT EXISTS (SELECT 1"
    " FROM integrations_externalreference r WHERE r.change_id = e.change_id AND r.system_id = e.system_id)",
}


class Mapped:
    name = "mapped"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [Figure("drain through a mapped document, against push", "1/s", 0.7)]

    def measure(self) -> None:
        pushed = drain_ours(self._session)
        self._session.say(f"push: {pushed.rate:.0f}/s; {pushed.cost}")
        mapped = drain_mapped(self._session, self._session.waiting)
        self._session.say(f"mapped: {mapped.rate:.0f}/s; {mapped.cost}")
        self.figures[0].add(mapped.rate, pushed.rate)


class MappedLog:
    name = "mapped-log"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seeds = {"short": session.waiting, "long": self._with_log()}
        told = f"a drain through a mapped document, with {_LOG_OPERATIONS:,} in the log"
        self.figures = [Figure(told, "s", 1.2, at_least=False)]

    def measure(self) -> None:
        seconds = {}
        for name, seed in self._seeds.items():
            drained = drain_mapped(self._session, seed)
            self._session.say(f"{name} log: {drained.rate:.0f}/s; {drained.cost}")
            seconds[name] = drained.seconds
        self.figures[0].add(seconds["long"], seconds["short"])

    def _with_log(self) -> OurSeed:
        session, stack = self._session, self._session.stack
        session.say(f"generating a log of {_LOG_OPERATIONS:,} operations")
        grown = OurSeed("logged", session.partners.tokens, session.partners.signing_secrets)
        stack.postgresql.create(grown.database, session.partners.database)
        wanted = ["--count", str(_LOG_CHANGES), "--operations", str(_LOG_OPERATIONS), "--settled"]
        environment = stack.environment(OURS, grown.database)
        stack.run_module("manage", "generate_changes", *wanted, "--partners", *SYSTEMS, environment=environment)
        seed = seed_operations(stack, grown, _CHANGES, _COMMENTS)
        stack.postgresql.drop(grown.database)
        return seed


def drain_mapped(session: Session, seed: OurSeed) -> Drained:
    """Drains the waiting operations of this database, with all systems mapped, and checks what came of it."""
    stack = session.stack
    copy_ours(stack, seed, DATABASE)
    with stack.postgresql.connect(DATABASE) as database:
        database.execute(_REVISIONS, [_DOCUMENT.format(url=stack.sink.url)])
        database.execute(_MAPPED)
    _write_secrets(session)
    drained = drain_database(session, seed)
    found = stack.postgresql.values(DATABASE, _ROWS) | {"arrivals": len(drained.arrivals)}
    expected = {"open": 0, "attempts of the document": seed.operations, "arrivals": seed.operations}
    checks.equal("after the mapped drain", found, {**expected, "changes without a reference": 0})
    return drained


def _write_secrets(session: Session) -> None:
    code = (
        "from integrations.connections import secrets\n"
        "from integrations.models import ExternalSystem\n"
        "for system in ExternalSystem.objects.all():\n"
        "    secrets.write(system, {'TOKEN': 'a-token-of-the-benchmark'})\n"
    )
    environment = session.stack.environment(OURS, DATABASE)
    session.stack.run_module("manage", "shell", "--verbosity", "0", "--command", code, environment=environment)
