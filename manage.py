#!/usr/bin/env python
"""The command line of casexchange: `python manage.py --help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    from django.core.management import execute_from_command_line

    from integrations.local.environment import prepare

    prepare(sys.argv)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
