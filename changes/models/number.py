"""The number of a change, which the database generates."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func
from django.db.models.sql.compiler import SQLCompiler


class ChangeNumber(Func):
    """`CHG0000001` from the primary key: unique and rising, without a counter to lock."""

    output_field = models.CharField()

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **extra: Any) -> Any:
        template = "'CHG' || lpad(%(expressions)s::text, greatest(7, length(%(expressions)s::text)), '0')"
        return super().as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: str) -> Any:
        return super().as_sql(compiler, connection, template="printf('CHG%%%%07d', %(expressions)s)", **extra)
