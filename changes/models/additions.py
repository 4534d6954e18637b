"""What is added to a change and never edited: comments, attachments, approvals."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes import workflow
from changes.actor import current as current_actor
from changes.choices import Decision, Phase, TextFormat, Visibility
from changes.exceptions import MayNotApprove, NotDecidable
from changes.files.scanning import scan
from changes.queries.querysets import AnnouncedQuerySet
from changes.texts.isolation import apart
from changes.texts.lines import LineField
from changes.validators import (
    TEXT_MAX_LENGTH,
    is_blank,
    made_visible,
    validate_attachment,
    validate_file_name,
    validate_text,
)

from . import recipients
from .activity import note_activity
from .holding import held, keep_as_stored
from .inserting import QuicklyInserted
from .record import Change
from .writing import within_transaction, writing

USER = settings.AUTH_USER_MODEL


class Addition(QuicklyInserted):
    """Something that is added to a change and never edited."""

    author = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", verbose_name=_("author"))
    author_name = LineField(_("author's name"), max_length=200, blank=True, validators=[validate_text])
    source_system = models.CharField(_("external system"), max_length=100, null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = AnnouncedQuerySet.as_manager()

    change_id: int  # each kind has its own foreign key, `change`
    # Partners the page promised; saving refuses if more would receive it. None: no page. See recipients.py.
    shown_recipients: Collection[str] | None = None

    class Meta:
        abstract = True
        ordering = ["id"]

    @property
    def author_label(self) -> str:
        """The author's name: as the partner sent it, else that of our user. For a partner's, as in `J. Doe (ACME)`."""
        name = self.author_name or self.author.get_username()
        return f"{name} ({self.source_system})" if self.source_system else name

    @property
    def is_public(self) -> bool:
        """Whether partners may receive it."""
        return True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Inserts it under the row lock of the change.

        Raises TypeError if it exists already, RecipientsUnseen if more partners would receive it than the page named.
        """
        if not self._state.adding:
            raise TypeError(f"A {self._meta.verbose_name} is added, never edited.")
        with within_transaction():
            # The lock serialises what is sent about one change, whoever adds it.
            self.change = held(Change, self.change_id) or Change.objects.locked().get(pk=self.change_id)
            self.source_system = self.source_system or current_actor().system_id
            self._check()
            if self.shown_recipients is not None and self.is_public:
                recipients.refuse_unseen(self.change, self.shown_recipients)
            kwargs["force_insert"] = True  # otherwise an existing key would be overwritten
            with writing():
                super().save(*args, **kwargs)
                note_activity(Change, self.change_id, self.created_at)
                self.change.last_activity_at = self.created_at
                keep_as_stored(self.change)

    def delete(self, *args: object, **kwargs: object) -> Any:
        raise TypeError(f"A {self._meta.verbose_name} is never deleted.")

    def _check(self) -> None:
        """For subclasses: raises an error if it may not be added to `self.change`, whose row is locked."""


class Comment(Addition):
    """A remark on a change. A private one never leaves this desk."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="comments", verbose_name=_("change"))
    body = models.TextField(_("body"), validators=[validate_text, MaxLengthValidator(TEXT_MAX_LENGTH)])
    visibility = models.CharField(_("visibility"), max_length=7, choices=Visibility, default=Visibility.PUBLIC)
    # Empty: Markdown for a comment written here, plain text for a partner's.
    format = models.CharField(_("format"), max_length=8, choices=TextFormat, blank=True, editable=False)

    class Meta(Addition.Meta):
        verbose_name = _("comment")
        verbose_name_plural = _("comments")

    def __str__(self) -> str:
        return apart(self.body[:80])

    @property
    def is_markdown(self) -> bool:
        return self.format == TextFormat.MARKDOWN if self.format else self.source_system is None

    @property
    def is_private(self) -> bool:
        return self.visibility == Visibility.PRIVATE

    @property
    def is_public(self) -> bool:
        return not self.is_private


def searched_by(viewer: Collection[models.Model] | None) -> models.QuerySet[Comment]:
    """The comments that a search covers: all for staff (`viewer` is None), only public ones for anybody else."""
    return Comment.objects.all() if viewer is None else Comment.objects.filter(visibility=Visibility.PUBLIC)


def storage_name(instance: Attachment, filename: str) -> str:
    # The sender's file name is only shown, and never becomes part of a path.
    return f"attachments/{timezone.now():%Y/%m}/{uuid.uuid4().hex}"


class Attachment(Addition):
    """A file on a change. `save()` computes its size and checksum."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="attachments", verbose_name=_("change"))
    file = models.FileField(_("file"), upload_to=storage_name, max_length=200, validators=[validate_attachment])
    file_name = models.CharField(_("file name"), max_length=255, validators=[validate_file_name])
    content_type = models.CharField(_("content type"), max_length=100, default="application/octet-stream")
    size = models.PositiveBigIntegerField(_("size in bytes"), editable=False)
    sha256 = models.CharField("SHA-256", max_length=64, editable=False)
    # When the virus scanner found it clean. Null: there was no scanner.
    found_clean_at = models.DateTimeField(_("found clean at"), null=True, editable=False)

    class Meta(Addition.Meta):
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")

    def __str__(self) -> str:
        return apart(self.shown_name)

    @property
    def shown_name(self) -> str:
        """The file name for pages and downloads, with codes in place of invisible characters."""
        return made_visible(self.file_name)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises ValidationError as `validate_attachment()` does."""
        if self._state.adding:
            validate_attachment(self.file)
            self.found_clean_at = scan(self.file)
            digest = hashlib.sha256()
            size = 0
            for chunk in self.file.chunks():
                digest.update(chunk)
                size += len(chunk)
            self.sha256, self.size = digest.hexdigest(), size
            self.file.seek(0)
        super().save(*args, **kwargs)

    def discard_file(self) -> None:
        """Removes the stored file of an attachment whose transaction was rolled back."""
        if getattr(self.file, "_committed", True):  # otherwise nothing is stored, and the name is still the sender's
            self.file.storage.delete(self.file.name or "")


class Approval(Addition):
    """One person's decision on the plan in one round. Nobody can alter it; rework starts a new round."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="approvals", verbose_name=_("change"))
    round = models.PositiveIntegerField(_("round"), editable=False)
    decision = models.CharField(_("decision"), max_length=8, choices=Decision)
    comment = models.TextField(
        _("comment"), blank=True, validators=[validate_text, MaxLengthValidator(TEXT_MAX_LENGTH)]
    )

    class Meta(Addition.Meta):
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [
            models.UniqueConstraint(fields=["change", "round", "author"], name="approval_once_per_person_and_round")
        ]

    def __str__(self) -> str:
        return f"{self.decision} by {self.author_label}"

    @property
    def approver(self) -> Any:
        return self.author

    @property
    def approver_id(self) -> int:
        return self.author_id

    def clean(self) -> None:
        if self.decision == Decision.DENIED and is_blank(self.comment):
            raise ValidationError({"comment": gettext("Say why you deny the plan.")})

    def refuse(self, is_decided: bool) -> None:
        """Raises an error if it may not be added to `self.change`. `is_decided`: the author has decided in this round.

        Makes no query if the change's row is loaded.
        """
        if self.change.phase != Phase.APPROVE_PLAN:
            message = gettext("%(number)s is in %(phase)s: a plan is decided in %(approve_plan)s.")
            phases = {"phase": Phase(self.change.phase), "approve_plan": Phase.APPROVE_PLAN}
            raise NotDecidable(message, {"number": self.change.number, **phases})
        part = workflow.part_of(self.author_id, self.change)
        if part and self.decision == Decision.APPROVED:
            raise MayNotApprove(str(part.rule))
        if is_decided:
            raise NotDecidable(gettext("You have decided in this round already; rework starts a new one."))
        self.clean()

    def _check(self) -> None:
        self.round = self.change.approval_round
        self.refuse(self.change.approvals.filter(round=self.round, author_id=self.author_id).exists())
