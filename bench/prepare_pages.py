"""Fills a database to measure the pages: `python -m bench.prepare_pages COUNT`, with the environment of casexchange.

Creates COUNT changes, one of them with 200 operations and 200 comments. Prints a JSON object: `session`, the session
key of a signed-in user; `changes`, the numbers of the changes to request, by purpose.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django
from django.core.management import call_command

from .sign_in import session_of

BUSY_OPERATIONS = 200
# The groups, of many, to which alice belongs.
GROUPS = ("Network", "Workplace Services")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    from changes.models import Change

    count = int(sys.argv[1])
    call_command("migrate", verbosity=0)
    call_command("generate_changes", count=count - 1, stdout=sys.stderr)
    call_command("generate_changes", count=1, operations=BUSY_OPERATIONS, seed=3, add=True, stdout=sys.stderr)
    ordered = Change.objects.order_by("pk").values_list("number", flat=True)
    changes = {"ordinary": ordered.filter(pk__gt=count // 2)[0], "busy": ordered.last()}
    json.dump({"session": session_of(_alice()), "changes": changes}, sys.stdout)


def _alice() -> Any:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from changes.choices import Role
    from changes.models import SupportGroup

    alice = get_user_model().objects.create_user("alice")
    roles = (Role.CHANGE_MANAGER.value, Role.INTEGRATION_ADMINISTRATOR.value)
    alice.groups.set(Group.objects.filter(name__in=roles))
    alice.support_groups.set(SupportGroup.objects.filter(name__in=GROUPS))
    return alice


if __name__ == "__main__":
    main()
