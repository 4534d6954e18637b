"""Debian's `webhook`, a server that runs a script for each call: here a small desk that keeps its records in a folder.

It knows our calls by a token in a header, and signs what it tells us with an HMAC, as GitHub does.
"""

from __future__ import annotations

import json
import secrets
import shutil
from typing import Any

import pytest

from ..processes import start
from .desk import PERSON_NAME, Desk

# Keeps what we say. Each record is a folder.
_TAKE = r"""#!/bin/sh
set -eu
operation=$1 number=$2 title=$3 comment=$4 file=$5
record=W-${number#CHG}
mkdir -p "records/$record"
case $operation in
Assign) status=open ;;
Accept) status=done ;;
Cancel) status=cancelled ;;
Update) status=$(cat "records/$record/status") ;;
*) echo "Unknown operation: $operation"; exit 1 ;;
esac
printf %s "$number" >"records/$record/number"
printf %s "$title" >"records/$record/title"
printf %s "$status" >"records/$record/status"
for text in "$comment" "$file"; do
    [ -z "$text" ] || jq --null-input --arg text "$text" '$text' >>"records/$record/texts"
done
jq --null-input --arg record "$record" --arg status "$status" '{$record, $status}'
"""
# What its people do here, and how it tells us.
_SAY = r"""#!/bin/sh
set -eu
event=$1 record=$2 title=$3 text=$4 status=$5
mkdir -p "records/$record"
[ -z "$title" ] || printf %s "$title" >"records/$record/title"
[ -z "$status" ] || printf %s "$status" >"records/$record/status"
[ -z "$text" ] || jq --null-input --arg text "$text" '$text' >>"records/$record/texts"
jq --null-input --compact-output --arg id "$(cat /proc/sys/kernel/random/uuid)" --arg event "$event" \
    --arg record "$record" --arg title "$title" --arg text "$text" --arg author "$AUTHOR" \
    --arg status "$(cat "records/$record/status")" '{$id, $event, $record, $title, $text, $author, $status}' >body
signature=$(openssl dgst -sha256 -hmac "$(cat secret)" -hex body)
curl --silent --show-error --fail-with-body --noproxy '*' --header 'Content-Type: application/json' \
    --header "X-Hub-Signature-256: sha256=${signature##* }" --data-binary @body "$INBOX"
"""


class WebhookServer(Desk):
    inbox = ""  # our address that it tells its news to; known when the exchange runs

    def start(self) -> None:
        program = shutil.which("webhook")
        if program is None:
            raise pytest.UsageError("webhook is missing: `make test` installs it.")
        self.token, self.secret = secrets.token_hex(16), secrets.token_hex(32)
        self.sign_with(self.secret)
        self.records = self.folder / "records"
        self.records.mkdir()
        for name, script in (("take.sh", _TAKE), ("say.sh", _SAY)):
            (self.folder / name).write_text(script)
            (self.folder / name).chmod(0o755)
        hooks = self.folder / "hooks.json"
        hooks.write_text(json.dumps([self._hook("change", "take.sh"), self._hook("say", "say.sh")]))
        self.person.headers["X-Hook-Token"] = self.token
        self.process = start(
            [program, "-ip", "127.0.0.1", "-port", str(self.port), "-hooks", str(hooks), "-nopanic"],
            log=self.folder / "log",
            environment={"AUTHOR": PERSON_NAME},
            cwd=self.folder,
        )
        self.until_ready()

    def is_answering(self) -> bool:
        return self.person.get(self.url, timeout=10).ok

    def sign_with(self, secret: str) -> None:
        (self.folder / "secret").write_text(secret)

    def _hook(self, name: str, script: str) -> dict[str, Any]:
        taken = {
            "change": ("operation", "number", "title", "comment", "file"),
            "say": ("event", "record", "title", "text", "status"),
        }[name]
        return {
            "id": name,
            "http-methods": ["POST"],
            "execute-command": str(self.folder / script),
            "command-working-directory": str(self.folder),
            "pass-arguments-to-command": [{"source": "payload", "name": key} for key in taken],
            "pass-environment-to-command": [{"source": "payload", "name": "inbox", "envname": "INBOX"}],
            "trigger-rule": {
                "match": {
                    "type": "value",
                    "value": self.token,
                    "parameter": {"source": "header", "name": "X-Hook-Token"},
                }
            },
            # Without this it answers 200 to those whom it does not know.
            "trigger-rule-mismatch-http-response-code": 401,
            "response-headers": [{"name": "Content-Type", "value": "application/json"}],
            "include-command-output-in-response": True,
            "include-command-output-in-response-on-error": True,
        }

    # --- What its people do ---

    def records_of(self, number: str) -> list[str]:
        return [file.parent.name for file in self.records.glob("*/number") if file.read_text() == number]

    def title(self, record: str) -> str:
        return (self.records / record / "title").read_text()

    def status(self, record: str) -> str:
        return (self.records / record / "status").read_text()

    def texts(self, record: str) -> list[str]:
        file = self.records / record / "texts"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def files(self, record: str) -> list[tuple[str, bytes]]:
        """It keeps none: a file is named in a text."""
        return []

    def open(self, title: str, text: str) -> str:
        record = f"W-{secrets.token_hex(4)}"
        self._say(event="opened", record=record, title=title, text=text, status="open")
        return record

    def reply(self, record: str, text: str) -> None:
        self._say(event="replied", record=record, text=text)

    def set_status(self, record: str, status: str) -> None:
        self._say(event="moved", record=record, status=status)

    def _say(self, **payload: str) -> None:
        fields = {"title": "", "text": "", "status": "", "inbox": self.inbox, **payload}
        self.call("POST", "/hooks/say", json=fields)
