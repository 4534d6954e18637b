"""Signs people in: `python -m bench.sign_in NAME...`, with casexchange's environment. Prints their session keys."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    from django.contrib.auth import get_user_model

    people = get_user_model().objects
    json.dump([session_of(people.get(username=name)) for name in sys.argv[1:]], sys.stdout)


def session_of(user: Any) -> str:
    """The key of a new session of a signed-in user."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


if __name__ == "__main__":
    main()
