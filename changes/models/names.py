"""What records and their fields are called, in the language of the page.

Those that Django itself would make of the Python names. They are here and not in the models: what is written there goes
into migrations, though no database knows of it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from .additions import Addition, Approval, Attachment, Comment
from .group import SupportGroup
from .record import Change

_ADDITION = {"author": _("author"), "author_name": _("author's name"), "created_at": _("created at")}


def name(model: type[Model], one: Any, many: Any, **fields: Any) -> None:
    """What one record of the model is called, and many, and each of its fields."""
    options: Any = model._meta
    options.verbose_name, options.verbose_name_plural = one, many
    for field, label in fields.items():
        options.get_field(field).verbose_name = label


def _name_addition(model: type[Addition], one: Any, many: Any, **fields: Any) -> None:
    name(model, one, many, **_ADDITION, change=_("change"), source_system=_("external system"), **fields)


def name_all() -> None:
    """Names the models of this package; before the first form is made of one."""
    name(
        Change,
        _("change"),
        _("changes"),
        number=_("number"),
        title=_("title"),
        description=_("description"),
        phase=_("phase"),
        category=_("category"),
        service=_("service"),
        justification=_("justification"),
        risk=_("risk"),
        business_impact=_("business impact"),
        urgency=_("urgency"),
        priority=_("priority"),
        completion_code=_("completion code"),
        owning_group=_("owning group"),
        requested_by=_("requested by"),
        implementation_plan=_("implementation plan"),
        backout_plan=_("backout plan"),
        planned_start=_("planned start"),
        planned_end=_("planned end"),
        actual_start=_("actual start"),
        actual_end=_("actual end"),
        approval_round=_("approval round"),
        version=_("version"),
        created_at=_("created at"),
        updated_at=_("updated at"),
    )
    name(SupportGroup, _("support group"), _("support groups"), name=_("name"), members=_("members"))
    _name_addition(Comment, _("comment"), _("comments"), body=_("body"), visibility=_("visibility"))
    _name_addition(
        Attachment,
        _("attachment"),
        _("attachments"),
        file=_("file"),
        file_name=_("file name"),
        content_type=_("content type"),
        sha256="SHA-256",
    )
    _name_addition(
        Approval, _("approval"), _("approvals"), round=_("round"), decision=_("decision"), comment=_("comment")
    )
