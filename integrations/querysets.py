"""Conditions on the rows of the exchange, in the words of their partial indexes."""

from django.db.models import BooleanField, Func

from .choices import SETTLED


class Unsettled(Func):
    """`exclude(status__in=SETTLED)` with the values in the words of the partial index: SQLite does not take the index
    when they are parameters of an IN."""

    template = "NOT (%(expressions)s IN ({}))".format(", ".join(f"'{status.value}'" for status in SETTLED))
    output_field = BooleanField()
