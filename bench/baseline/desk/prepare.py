"""Makes the baseline's tables, and a user with a token for each partner: `python -m bench.baseline.desk.prepare`.

Prints the tokens as a JSON object.
"""

import json
import os
import sys

import django
from django.core.management import call_command

from bench.content import SYSTEMS, authorized_user


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.baseline.desk.settings"
    django.setup()
    from django.contrib.auth import get_user_model
    from rest_framework.authtoken.models import Token

    call_command("migrate", run_syncdb=True, verbosity=0)
    tokens = {}
    for system_id in SYSTEMS:
        user = get_user_model().objects.create_user(authorized_user(system_id))
        tokens[system_id] = Token.objects.create(user=user).key
    json.dump(tokens, sys.stdout)


if __name__ == "__main__":
    main()
