#!/usr/bin/env python
"""The command line of casexchange: `python manage.py --help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    from casexchange.command_line import CommandLine
    from integrations.local.environment import prepare

    prepare(sys.argv)
    CommandLine(sys.argv).execute()


if __name__ == "__main__":
    main()
