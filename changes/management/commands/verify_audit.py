"""python manage.py verify_audit"""

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from changes.security_log import chain
from changes.security_log.verifying import Walk

_HASH = r"[0-9a-f]{64}"


class Command(BaseCommand):
    help = "Checks that no entry of the security log was altered, inserted or removed. Exit code 1 if one was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--last",
            metavar="HASH",
            default="",
            help="A hash that this command printed before, kept elsewhere. It must still be in the log.",
        )
        parser.add_argument(
            "--since",
            metavar="ID:HASH",
            default="",
            help="As --last, but with the id: only that entry and those after it are read.",
        )

    def handle(self, *args: object, last: str, since: str, **options: Any) -> None:
        last = last.rpartition(":")[2]
        if last and not re.fullmatch(_HASH, last):
            raise CommandError("--last: give ID:HASH as this command prints it, or the hash alone.")
        kept = re.fullmatch(rf"([1-9][0-9]{{0,17}}):({_HASH})", since)
        if since and not kept:
            raise CommandError("--since: give ID:HASH, as this command prints it.")
        chain.seal()
        walk = Walk((int(kept[1]), kept[2]) if kept else None, last)
        faults = 0
        for fault in walk.faults():
            faults += 1
            self.stdout.write(fault)
        if faults:
            raise CommandError(f"The security log was tampered with: {faults} faults in {walk.count} entries.")
        self.stdout.write(f"The security log is intact: {walk.count} entries were checked.")
        if walk.last_id:
            self.stdout.write(f"Keep this elsewhere, for --last or --since: {walk.last_id}:{walk.last_hash}")
