"""python manage.py generate_changes --count 1000000"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from changes.models import Change
from integrations.sandbox.volume.generate import Wanted, generate

OPERATIONS_OF_A_CHANGE = 5


class Command(BaseCommand):
    help = (
        "Fills a database with many changes, and with comments, history, partners and operations, for trying the "
        "product at the size of a large desk. Not for a database in use: generated changes cannot be removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", type=int, required=True, help="How many changes.")
        parser.add_argument(
            "--operations",
            type=int,
            help=f"How many outgoing operations in all. Default: {OPERATIONS_OF_A_CHANGE} times as many as changes.",
        )
        parser.add_argument(
            "--partners",
            nargs="+",
            default=[],
            metavar="SYSTEM_ID",
            help="The external systems to exchange with. Waiting operations are then really sent to them. "
            "Default: ten new systems, whose addresses lead nowhere.",
        )
        parser.add_argument("--settled", action="store_true", help="Leave no operation waiting or refused.")
        parser.add_argument("--seed", type=int, default=1, help="Equal seeds, equal changes (default: %(default)s).")
        parser.add_argument("--add", action="store_true", help="Add to a database that already has changes.")

    def handle(self, *args: object, **options: Any) -> None:
        count, operations = options["count"], options["operations"]
        if operations is None:
            operations = count * OPERATIONS_OF_A_CHANGE
        if count < 1 or operations < 0:
            raise CommandError("--count must be 1 or more, and --operations 0 or more.")
        if not options["add"] and Change.objects.exists():
            raise CommandError(
                "Nothing was done: this database has changes, and generated ones cannot be removed again. "
                "To add them all the same, use --add."
            )
        wanted = Wanted(count, operations, options["partners"], options["settled"], options["seed"])

        def say(text: str) -> None:
            if options["verbosity"] > 0:
                self.stdout.write(text)
                self.stdout.flush()

        generate(wanted, say)
        say(f"Generated {count:,} changes and {operations:,} outgoing operations.")
