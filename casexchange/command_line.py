"""The command line of manage.py. Its `--help` lists our own commands with their purpose before Django's."""

from django.core.management import ManagementUtility, get_commands, load_command_class
from django.core.management.base import BaseCommand

OURS = ("changes", "integrations", "integrations.sandbox")


class CommandLine(ManagementUtility):
    def main_help_text(self, commands_only: bool = False) -> str:
        text = super().main_help_text(commands_only)
        if commands_only:
            return text
        commands = {name: _help(app, name) for name, app in sorted(get_commands().items()) if app in OURS}
        width = max(map(len, commands), default=0)
        rows = [f"    {name:<{width}}  {purpose}" for name, purpose in commands.items()]
        return "\n".join(["", "[casexchange]", *rows, text])


def _help(app: str, name: str) -> str:
    command: BaseCommand = load_command_class(app, name)
    return command.help
