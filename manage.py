#!/usr/bin/env python
"""The command line of casexchange: `python manage.py --help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError

    from casexchange.command_line import CommandLine
    from integrations.sandbox.local.environment import prepare

    prepare(sys.argv)
    try:
        CommandLine(sys.argv).execute()
    except ImproperlyConfigured as error:
        sys.exit(f"Configuration error: {error}")  # one line is enough; a traceback would hide it
    except OperationalError as error:
        from changes.conflicts import is_unavailable

        if "--traceback" in sys.argv or not is_unavailable(error):
            raise
        sys.exit(f"The database cannot be used: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
