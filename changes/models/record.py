"""The change record itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes import workflow
from changes.choices import PRIORITIES, ChangeType, CompletionCode, Impact, Phase, Priority, Risk, Urgency
from changes.exceptions import ConditionsUnmet, FieldEdit, NoTransition, ReadOnlyChange, StaleChange
from changes.queries.querysets import PLANNED_START, PRIORITY_RANK, ChangeQuerySet
from changes.texts.isolation import apart
from changes.texts.lines import LineField
from changes.validators import TEXT_MAX_LENGTH, validate_moment, validate_text

from .activity import note_save
from .group import SupportGroup
from .history import SourcedRecords, edits_of
from .holding import held, keep_as_stored
from .inserting import QuicklyInserted
from .moving import Movable
from .number import ChangeNumber
from .phase_field import PhaseField
from .rounds import count_rounds, person_here, unapproved
from .values import refuse_impossible_times, tidy_lines
from .writing import within_transaction, writing

USER = settings.AUTH_USER_MODEL


@dataclass(frozen=True)
class FieldChange:
    """The value of a field in the database before a save, and after it."""

    old: Any
    new: Any


def _text(**options: Any) -> models.TextField:
    return models.TextField(blank=True, validators=[validate_text, MaxLengthValidator(TEXT_MAX_LENGTH)], **options)


def _own_user(label: Any) -> Any:
    """A user whom `save()` sets. Without an index, since no query looks for changes by this user alone."""
    return models.ForeignKey(
        USER, null=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=label
    )


class Change(QuicklyInserted, Movable):
    """An ITIL change record: what is to be changed, why, when, by whom, in which phase.

    `version` counts the saves that altered it. `save()` raises `StaleChange` when the row was saved by somebody
    else since this instance was read, `NoTransition` for a phase that was not reached by a transition, and
    `ReadOnlyChange` for an edit in a final phase. A field that the exchange or a history shows belongs in
    `TRACKED_FIELDS`.
    """

    number = models.GeneratedField(
        expression=ChangeNumber("id"),
        output_field=models.CharField(max_length=22),
        db_persist=True,
        verbose_name=_("number"),
    )
    title = LineField(_("title"), max_length=200, validators=[validate_text])
    description = _text(verbose_name=_("description"))
    change_type = models.CharField(_("type"), max_length=10, choices=ChangeType, default=ChangeType.NORMAL)
    phase = PhaseField(
        _("phase"), max_length=11, choices=Phase.choices, default=Phase.LOG, protected=True, editable=False
    )
    category = LineField(_("category"), max_length=200, blank=True, validators=[validate_text])
    service = LineField(_("service"), max_length=200, blank=True, validators=[validate_text])
    reason = _text(verbose_name=_("reason for change"))
    justification = _text(verbose_name=_("justification"))
    risk = models.CharField(_("risk"), max_length=6, choices=Risk, null=True, blank=True)
    business_impact = models.CharField(_("business impact"), max_length=16, choices=Impact, default=Impact.SINGLE_USER)
    urgency = models.CharField(_("urgency"), max_length=18, choices=Urgency, default=Urgency.SLIGHT_DISRUPTION)
    priority = models.CharField(_("priority"), max_length=8, choices=Priority, editable=False)
    completion_code = models.CharField(
        _("completion code"), max_length=22, choices=CompletionCode, null=True, blank=True
    )
    owning_group = models.ForeignKey(
        SupportGroup,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="changes",
        db_index=False,
        verbose_name=_("owning group"),
    )
    requested_by = models.ForeignKey(
        USER,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="requested_changes",
        db_index=False,
        verbose_name=_("requested by"),
    )
    implementation_plan = _text(verbose_name=_("implementation plan"))
    backout_plan = _text(verbose_name=_("backout plan"))
    planned_start = models.DateTimeField(_("planned start"), null=True, blank=True, validators=[validate_moment])
    planned_end = models.DateTimeField(_("planned end"), null=True, blank=True, validators=[validate_moment])
    actual_start = models.DateTimeField(_("actual start"), null=True, blank=True, validators=[validate_moment])
    actual_end = models.DateTimeField(_("actual end"), null=True, blank=True, validators=[validate_moment])
    approval_round = models.PositiveIntegerField(_("approval round"), default=0, editable=False)
    # Users of this desk, who may not approve the change (workflow.PARTS). Null if a partner did it.
    created_by = _own_user(_("created by"))
    plan_altered_by = _own_user(_("plan altered by"))
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    # Of a save, an addition or news of a partner: see activity.py.
    last_activity_at = models.DateTimeField(_("last activity"), auto_now=True, db_default=Now())

    history = SourcedRecords(
        excluded_fields=["number", "created_by", "plan_altered_by", "last_activity_at"],
        verbose_name=_("save of a change"),
        verbose_name_plural=_("saves of changes"),
    )
    objects = ChangeQuerySet.as_manager()

    TIMES = ("planned_start", "planned_end", "actual_start", "actual_end")
    LINES = ("title", "category", "service")
    # Fields that people and partners set and the history shows. save() itself maintains the others.
    TRACKED_FIELDS = (
        "title",
        "description",
        "change_type",
        "phase",
        "category",
        "service",
        "reason",
        "justification",
        "risk",
        "business_impact",
        "urgency",
        "priority",
        "completion_code",
        "owning_group",
        "requested_by",
        "implementation_plan",
        "backout_plan",
        "planned_start",
        "planned_end",
        "actual_start",
        "actual_end",
    )
    # Fields that the API and partners may set. A transition sets the phase.
    WRITABLE_FIELDS = tuple(name for name in TRACKED_FIELDS if name not in ("phase", "priority", "requested_by"))

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        ordering = ["-id"]
        base_manager_name = "objects"
        permissions = [
            ("approve_change", "Can approve or deny a change's plan"),
            ("abandon_change", "Can abandon a change"),
        ]
        # PostgreSQL has two more, which SQLite does not support: `change_search` for searches, and `change_window` for
        # planned windows. See the migration of the list's indexes.
        indexes = [
            models.Index(fields=["phase", "-id"], name="change_phase"),
            models.Index(fields=["owning_group", "-id"], name="change_owning_group"),
            models.Index(fields=["updated_at", "id"], name="change_updated"),
            models.Index(fields=["last_activity_at", "id"], name="change_activity"),
            models.Index(fields=["requested_by", "-id"], name="change_requested_by"),
            models.Index(PRIORITY_RANK, F("id"), name="change_priority"),
            models.Index(PLANNED_START, F("id"), name="change_planned_start"),
            models.Index(fields=["created_at", "id"], name="change_created"),
            models.Index(fields=["title", "id"], name="change_title"),
            # Open changes in the order of their numbers, with the columns they are filtered by.
            models.Index(
                fields=["id", "phase", "owning_group", "priority"],
                condition=~Q(phase__in=[Phase.CLOSE, Phase.ABANDON]),
                name="change_open",
            ),
            # Partial: a new change has no completion code, so creating it does not touch this index.
            models.Index(
                fields=["completion_code", "-id"],
                condition=Q(completion_code__isnull=False),
                name="change_completion_code",
            ),
            # The changes of a group in a phase, the most urgent first, then the oldest: see desk.py.
            models.Index(
                F("owning_group"),
                F("phase"),
                PRIORITY_RANK,
                F("id"),
                condition=~Q(phase__in=[Phase.CLOSE, Phase.ABANDON]),
                name="change_desk",
            ),
            # The plans that wait for a decision, the most urgent first: see steps.py.
            models.Index(PRIORITY_RANK, F("id"), condition=Q(phase=Phase.APPROVE_PLAN), name="change_to_approve"),
        ]
        constraints = [
            # Not by `unique=True`, which adds an index for LIKE that no query can use.
            models.UniqueConstraint(fields=["number"], name="change_number"),
            models.CheckConstraint(
                name="change_planned_end_after_start",
                condition=Q(planned_start=None) | Q(planned_end=None) | Q(planned_end__gt=F("planned_start")),
            ),
            models.CheckConstraint(
                name="change_actual_end_not_before_start",
                condition=Q(actual_start=None) | Q(actual_end=None) | Q(actual_end__gte=F("actual_start")),
            ),
        ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.changed_fields: dict[str, FieldChange] = {}
        self.is_partly_saved = False
        # Approvals already loaded; saves a query. Only for checks of what is possible, not for a save.
        self.known_approvals: list[Any] | None = None

    def __str__(self) -> str:
        return f"{self.number} {apart(self.title)}"

    # --- Reading ---

    @property
    def metaphase(self) -> str:
        return Phase(self.phase).metaphase.value

    @property
    def is_final(self) -> bool:
        return Phase(self.phase).is_final

    def current_approvals(self) -> Sequence[workflow.Decided]:
        """The decisions of the current round, oldest first; none outside a round."""
        if self.pk is None or self.approval_round == 0:
            return []
        if self.known_approvals is not None:
            known = [approval for approval in self.known_approvals if approval.round == self.approval_round]
            return sorted(known, key=lambda approval: approval.pk)
        return list(self.approvals.filter(round=self.approval_round).select_related("author"))

    def edits_since(self, version: int) -> dict[str, FieldEdit]:
        """The edits after `version`, by field: the value then, the value now, who edited it last, and when."""
        records = self.history.filter(version__gte=version).select_related("history_user").order_by("version")
        names = {field: self._meta.get_field(field).attname for field in self.TRACKED_FIELDS}  # type: ignore[union-attr]
        return edits_of(list(records), names)

    # --- Writing ---

    def clean(self) -> None:
        errors = {}
        if not self.title.strip():
            errors["title"] = gettext("Give the change a title.")
        if self.planned_start and self.planned_end and self.planned_end <= self.planned_start:
            errors["planned_end"] = gettext("Planned end must be after planned start.")
        if self.actual_start and self.actual_end and self.actual_end < self.actual_start:
            errors["actual_end"] = gettext("Actual end must not be before actual start.")
        if errors:
            raise ValidationError(errors)

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Change:
        change = super().from_db(*args, **kwargs)
        change._remember_loaded()
        return change

    def refresh_from_db(self, using: Any = None, fields: Any = None, from_queryset: Any = None) -> None:
        # The protected phase accepts a value only while it has none.
        if fields is None or "phase" in fields:
            self.__dict__.pop("phase", None)
        super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)
        if fields is None:
            self._remember_loaded()

    def _remember_loaded(self) -> None:
        self._loaded_version = self.__dict__.get("version")
        # The version alone is not enough: after a rollback, another save can get the same one.
        self._loaded_at = self.__dict__.get("updated_at")

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Writes only the fields that differ from the database. Raises `ChangeRefused` or `ValidationError`."""
        with within_transaction():
            # All checks come before the first write.
            if self._state.adding:
                self._prepare_insert()
                kwargs["force_insert"] = True  # otherwise an existing key would be overwritten
            else:
                update_fields = self._prepare_update(update_fields)
                if not self.changed_fields and update_fields == []:
                    return
            with writing():
                super().save(*args, update_fields=update_fields, **kwargs)
            self._remember_loaded()
            note_save(self)
            keep_as_stored(self)

    def _prepare_insert(self) -> None:
        if self.phase != Phase.LOG:
            raise NoTransition(self.change_type, "nothing", self.phase, [Phase.LOG])
        self.version = 1
        self.created_by_id = self.plan_altered_by_id = person_here()
        self.changed_fields = self.differences_from(None)
        refuse_impossible_times(self)
        self.clean()

    def _prepare_update(self, update_fields: Iterable[str] | None) -> list[str]:
        """Compares with the locked row, and returns the fields to write: an empty list if nothing differs."""
        stored = held(Change, self.pk) or Change.objects.locked().get(pk=self.pk)
        if (self._loaded_version, self._loaded_at) != (stored.version, stored.updated_at):
            raise StaleChange(stored.number, stored.version, stored.edits_since(self._loaded_version or 0))
        tidy_lines(self, stored)
        self.clean()
        self._derive_priority()
        everything = {*self.TRACKED_FIELDS} - self.get_deferred_fields()
        written = set(everything)
        if update_fields is not None:
            kept = {*update_fields, "priority"}
            if "phase" in kept:
                kept |= {"actual_start", "actual_end"}  # what the transition filled in belongs to it
            written &= kept
        self.changed_fields = self._differences(stored, written)
        self.is_partly_saved = written < everything and bool(self._differences(stored, everything - written))
        self._refuse_forbidden(stored)
        refuse_impossible_times(self)
        count_rounds(self, stored)
        differing = [*self.changed_fields]
        if stored.approval_round != self.approval_round:
            differing.append("approval_round")
        if stored.plan_altered_by_id != self.plan_altered_by_id:
            differing.append("plan_altered_by")
        if not differing:
            return []
        self.version = stored.version + 1
        return [*differing, "version", "updated_at", "last_activity_at"]

    def differences_from(self, stored: Change | None) -> dict[str, FieldChange]:
        """The fields in which this record differs from `stored`. With None: the fields that a new record fills in.

        Sets the derived priority and tidies the one-line texts of this record, and alters nothing else.
        """
        self._derive_priority()
        tidy_lines(self, stored)
        if stored is not None:
            return self._differences(stored, {*self.TRACKED_FIELDS})
        filled = {field: getattr(self, field) for field in self.TRACKED_FIELDS}
        return {field: FieldChange(None, value) for field, value in filled.items() if value not in (None, "")}

    def _differences(self, stored: Change, fields: set[str]) -> dict[str, FieldChange]:
        differences = {}
        for field in self.TRACKED_FIELDS:
            name = self._meta.get_field(field).attname  # type: ignore[union-attr]
            if field in fields and getattr(stored, name) != getattr(self, name):
                differences[field] = FieldChange(getattr(stored, field), getattr(self, field))
        return differences

    def _derive_priority(self) -> None:
        self.priority = PRIORITIES[Urgency(self.urgency)][Impact(self.business_impact)]

    def _refuse_forbidden(self, stored: Change) -> None:
        """Enforces the rules that hold for every way in, the shell too. Raises a `ChangeRefused`."""
        changed = self.changed_fields
        if changed and stored.is_final:
            message = gettext("%(number)s is in %(phase)s: its fields are read-only. Add a comment instead.")
            raise ReadOnlyChange(message, list(changed), {"number": stored.number, "phase": Phase(stored.phase)})
        if "change_type" in changed and stored.phase != Phase.LOG:
            raise ReadOnlyChange(gettext("The type of a change can be altered only in Log."), ["change_type"])
        if "phase" in changed:
            possible = workflow.targets(self.change_type, stored.phase)
            if self.phase not in possible:
                raise NoTransition(self.change_type, stored.phase, self.phase, possible)
            # Checked again for what will be stored: since move_to(), a denial may have come or a field may be altered.
            missing = [*unapproved(self, stored), *workflow.unmet(self._as_stored_before(stored), self.phase)]
            if missing:
                raise ConditionsUnmet(self.phase, missing)

    def _as_stored_before(self, stored: Change) -> Change:
        """A copy of `stored` with the fields that this save writes, but with the stored phase and approval round."""
        draft = copy(stored)
        for field in self.changed_fields:
            if field != "phase":
                name = self._meta.get_field(field).attname  # type: ignore[union-attr]
                setattr(draft, name, getattr(self, name))
        return draft
