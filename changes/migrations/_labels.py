"""An operation for migrations that say only what records and fields are called."""

from typing import Any

from django.db import migrations


class LabelsOnly(migrations.SeparateDatabaseAndState):
    """State operations of which no model that a migration works with needs to know.

    Django renders a model and all that refer to it anew for each field that is altered, which took three quarters of
    the time in which an empty database was migrated. Here all are rendered once, when something asks for them again.
    """

    def __init__(self, operations: list[Any]) -> None:
        super().__init__(state_operations=operations)

    def state_forwards(self, app_label: str, state: Any) -> None:
        state.__dict__.pop("apps", None)
        super().state_forwards(app_label, state)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return self.__class__.__qualname__, [self.state_operations], {}
