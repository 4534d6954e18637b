"""Bulk jobs: one action on many records, with one item for each record."""

from __future__ import annotations

from typing import Any

import uuid_utils.compat
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from changes.choices import ItemStatus
from changes.exceptions import in_words
from changes.work import LONGEST


class JobQuerySet(models.QuerySet):
    def unfinished(self) -> Any:
        """The jobs that are confirmed and not finished, the oldest first."""
        return self.filter(confirmed_at__isnull=False, finished_at=None).order_by("confirmed_at", "id")


class BulkJob(models.Model):
    """One person's action on many records. It is a draft with a preview until `confirmed_at`; then workers run it.

    `kind` names the action, `parameters` its details; see bulk/kind.py. `active_at` is when somebody last worked on
    it. `language` is the language of the person's pages. Only a former release's workers write results in it.
    """

    id = models.UUIDField(primary_key=True, default=uuid_utils.compat.uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="bulk_jobs", db_index=False
    )
    kind = models.CharField(max_length=20)
    parameters = models.JSONField(default=dict)
    language = models.CharField(max_length=10)
    total = models.PositiveIntegerField()
    request_id = models.CharField(
        max_length=LONGEST, blank=True, default="", db_default="", help_text=_("Of the request that confirmed it.")
    )
    back = models.TextField(blank=True, help_text=_("The address of the form that asked for it."))
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    active_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("bulk job")
        verbose_name_plural = _("bulk jobs")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "-id"], name="bulk_job_of_user"),
            models.Index(
                fields=["confirmed_at"],
                condition=Q(confirmed_at__isnull=False, finished_at=None),
                name="bulk_job_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.total}"

    @property
    def is_draft(self) -> bool:
        return self.confirmed_at is None

    @property
    def is_running(self) -> bool:
        return self.confirmed_at is not None and self.finished_at is None


class BulkItem(models.Model):
    """One record of a job, and its result, which is written in the same transaction as the action.

    `seen` is the version that the preview was made from; None if the version does not matter. `told` are the
    partners that the preview named; None if they do not matter.
    """

    job = models.ForeignKey(BulkJob, on_delete=models.CASCADE, related_name="items", db_index=False)
    position = models.PositiveIntegerField()
    target = models.CharField(max_length=36, help_text=_("The record's key."))
    label = models.CharField(max_length=300)
    seen = models.PositiveIntegerField(null=True)
    told = models.JSONField(null=True)
    status = models.CharField(max_length=9, choices=ItemStatus, default=ItemStatus.WAITING)
    message = models.CharField(max_length=1000, blank=True)
    # What `changes.exceptions.in_words()` needs for the message on pages; null in a row of a former release.
    kept = models.JSONField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("record of a bulk job")
        verbose_name_plural = _("records of bulk jobs")
        ordering = ["job", "position"]
        indexes = [models.Index(fields=["job", "status", "position"], name="bulk_item_of_job")]
        constraints = [models.UniqueConstraint(fields=["job", "position"], name="bulk_item_once_in_position")]

    def __str__(self) -> str:
        return self.label

    def what_happened(self) -> str:
        """The message in the language of the page."""
        return in_words(self.kept) if self.kept else self.message
