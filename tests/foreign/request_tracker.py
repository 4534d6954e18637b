"""Request Tracker 5, as Debian packages it, with a queue "Changes" and an account of ours that may work in it."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from ..processes import start
from .desk import OLD, OPENED_BY_US, PERSON, PERSON_NAME, Desk, kept, run

_HOME = Path("/usr/share/request-tracker5")
_CONFIGURATION = """
Set($rtname, 'rt'); Set($Organization, 'rt.example'); Set($Timezone, 'Europe/Berlin');
Set($WebDomain, '127.0.0.1'); Set($WebPort, %(port)d); Set($WebBaseURL, 'http://127.0.0.1:%(port)d'); Set($WebPath, '');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '%(folder)s/rt.sqlite');
Set($LogToSyslog, undef); Set($LogToSTDERR, 'warning'); Set($LogDir, '%(folder)s/var');
Set($MailCommand, 'mbox'); Set($WebSecureCookies, 0);
# Each call checks a password or token. This is the least cost of it: a quarter of the default.
Set($BcryptCost, 10);
$RT::VarPath = '%(folder)s/var'; $RT::MasonDataDir = '%(folder)s/mason'; $RT::MasonSessionDir = '%(folder)s/sessions';
1;
"""
_SEED = r"""
use lib '/usr/share/request-tracker5/lib'; use RT -init; use RT::AuthToken;
sub must { my ($done, $why) = @_; die "$why\n" unless $done; return $done }
my $queue = RT::Queue->new(RT->SystemUser);
must($queue->Create(Name => 'Changes', CorrespondAddress => 'changes@rt.example'));
# Those that the preset names, and no more.
my @ours = qw(SeeQueue ShowTicket ShowTicketComments CreateTicket CommentOnTicket ModifyTicket SeeCustomField
  ModifyCustomField SetInitialCustomField);
my %user;
for my $account (['OURS', 'Case exchange'], ['PERSON', 'PERSON_NAME']) {
  my ($name, $real_name) = @$account;
  my $user = $user{$name} = RT::User->new(RT->SystemUser);
  must($user->Create(Name => $name, RealName => $real_name, EmailAddress => "$name\@rt.example", Privileged => 1,
    Password => 'PASSWORD'));
  must($user->PrincipalObj->GrantRight(Right => $_, Object => $queue))
    for @ours, ($name eq 'OURS' ? () : 'ReplyToTicket');
}
my $field = RT::CustomField->new(RT->SystemUser);
must($field->Create(Name => 'Change number', Type => 'Freeform', MaxValues => 1, LookupType => 'RT::Queue-RT::Ticket'));
must($field->AddToObject($queue));
my ($id, $why, $token) = RT::AuthToken->new(RT->SystemUser)->Create(Owner => $user{'OURS'}->id, Description => 'ours');
must($id, $why); print $token;
must(RT::Ticket->new($user{'PERSON'})->Create(Queue => 'Changes', Subject => 'OLD_TITLE'));
"""


class RequestTracker(Desk):
    rest = "/REST/2.0"

    def start(self) -> None:
        seed = _SEED.replace("PASSWORD", self.password).replace("PERSON_NAME", PERSON_NAME)
        seed = seed.replace("OLD_TITLE", OLD)
        seed = seed.replace("PERSON", PERSON).replace("OURS", OPENED_BY_US)
        prepared = kept("request-tracker5", _CONFIGURATION + seed, lambda folder: self._prepare(folder, seed))
        environment = self._configure(self.folder)
        shutil.copy(prepared / "rt.sqlite", self.folder)
        self.token = (prepared / "token").read_text()
        self.person.auth = (PERSON, self.password)
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--max-workers", "2"]
        self.process = start(
            [str(_HOME / "libexec" / "rt-server"), *options],
            log=self.folder / "log",
            environment=environment,
            cwd=self.folder,
        )
        self.until_ready()

    def is_answering(self) -> bool:
        return self.person.get(f"{self.url}{self.rest}/rt", timeout=10).ok

    def _configure(self, folder: Path) -> dict[str, str]:
        for name in ("config.d", "mason", "sessions", "var"):
            (folder / name).mkdir()
        file = folder / "config.pm"
        file.write_text(_CONFIGURATION % {"port": self.port, "folder": folder})
        return {"RT_SITE_CONFIG": str(file), "RT_SITE_CONFIG_DIR": str(folder / "config.d")}

    def _prepare(self, folder: Path, seed: str) -> None:
        environment = self._configure(folder)
        password = folder / "root-password"
        password.write_text(self.password)
        setup = ["rt-setup-database-5", "--action", "init", "--root-password-file", str(password)]
        run(setup, cwd=folder, environment=environment)
        (folder / "seed.pl").write_text(seed)
        (folder / "token").write_text(run(["perl", "seed.pl"], cwd=folder, environment=environment))

    # --- What its people do ---

    def records_of(self, number: str) -> list[str]:
        query = f"Queue = 'Changes' AND CF.{{Change number}} = '{number}'"
        return [item["id"] for item in self._get("/tickets", query=query)["items"]]

    def ticket(self, record: str) -> dict[str, Any]:
        return self._get(f"/ticket/{record}")

    def title(self, record: str) -> str:
        return self.ticket(record)["Subject"]

    def status(self, record: str) -> str:
        return self.ticket(record)["Status"]

    def texts(self, record: str) -> list[str]:
        return [
            part["Content"]
            for transaction in self._history(record)
            if transaction["Type"] in ("Comment", "Correspond")
            for part in self._parts(transaction)
            if part["ContentType"] == "text/plain" and not part["Filename"]
        ]

    def files(self, record: str) -> list[tuple[str, bytes]]:
        parts = [part for transaction in self._history(record) for part in self._parts(transaction)]
        ids = [part["id"] for part in parts if part["Filename"]]
        # Only a single attachment has its content in base64, and so as bytes.
        found = [self._get(f"/attachment/{part}") for part in ids]
        return [(part["Filename"], base64.b64decode(part["Content"])) for part in found]

    def open(self, title: str, text: str) -> str:
        fields = {"Queue": "Changes", "Subject": title, "Content": text, "ContentType": "text/plain"}
        return self.call("POST", f"{self.rest}/ticket", json=fields)["id"]

    def reply(self, record: str, text: str) -> None:
        self._say("correspond", record, text)

    def reply_in_html(self, record: str, html: str, file_name: str) -> None:
        """A reply as the pages write it, with a file."""
        content = {"FileName": file_name, "FileType": "text/plain", "FileContent": base64.b64encode(b"x").decode()}
        said = {"Content": html, "ContentType": "text/html", "Attachments": [content]}
        self.call("POST", f"{self.rest}/ticket/{record}/correspond", json=said)

    def note(self, record: str, text: str) -> None:
        self._say("comment", record, text)

    def set_status(self, record: str, status: str) -> None:
        said = self.call("PUT", f"{self.rest}/ticket/{record}", json={"Status": status})
        assert "Status changed" in said[0], said

    def _say(self, what: str, record: str, text: str) -> None:
        self.call("POST", f"{self.rest}/ticket/{record}/{what}", json={"Content": text, "ContentType": "text/plain"})

    def _history(self, record: str) -> list[dict[str, Any]]:
        return self._get(f"/ticket/{record}/history", fields="Type", per_page="100")["items"]

    def _parts(self, transaction: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"/transaction/{transaction['id']}/attachments"
        return self._get(path, fields="Filename,ContentType,Content", per_page="100")["items"]

    def _get(self, path: str, **query: str) -> Any:
        return self.call("GET", self.rest + path, params=query)
