"""The choices of a change record. The API, files and the rules use the value verbatim; people read the label.

Pages show `.label` or `get_FOO_display()`. Everything that a program reads contains the value.
"""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class ChangeType(TextChoices):
    NORMAL = "Normal", pgettext_lazy("type of a change", "Normal")
    STANDARD = "Standard", pgettext_lazy("type of a change", "Standard")
    EMERGENCY = "Emergency", pgettext_lazy("type of a change", "Emergency")


class Metaphase(TextChoices):
    CLASSIFICATION = "Classification", pgettext_lazy("metaphase", "Classification")
    PLANNING = "Planning", pgettext_lazy("metaphase", "Planning")
    DEPLOYMENT = "Deployment", pgettext_lazy("metaphase", "Deployment")
    VALIDATION = "Validation", pgettext_lazy("metaphase", "Validation")
    DONE = "Done", pgettext_lazy("metaphase", "Done")


class Phase(TextChoices):
    LOG = "Log", pgettext_lazy("phase", "Log")
    EVALUATE = "Evaluate", pgettext_lazy("phase", "Evaluate")
    PLAN = "Plan", pgettext_lazy("phase", "Plan")
    APPROVE_PLAN = "ApprovePlan", pgettext_lazy("phase", "Approve plan")
    DEPLOY = "Deploy", pgettext_lazy("phase", "Deploy")
    BACKOUT = "Backout", pgettext_lazy("phase", "Backout")
    VALIDATE = "Validate", pgettext_lazy("phase", "Validate")
    REVIEW = "Review", pgettext_lazy("phase", "Review")
    CLOSE = "Close", pgettext_lazy("phase", "Close")
    ABANDON = "Abandon", pgettext_lazy("phase", "Abandon")

    @property
    def metaphase(self) -> Metaphase:
        return METAPHASES[self]

    @property
    def tone(self) -> str:
        """The name of its colour: that of its metaphase, or its own for a phase beside the path."""
        own = self in (Phase.BACKOUT, Phase.ABANDON)
        return (self.value if own else self.metaphase.value).lower()

    @property
    def is_final(self) -> bool:
        return self in FINAL_PHASES


METAPHASES = {
    Phase.LOG: Metaphase.CLASSIFICATION,
    Phase.EVALUATE: Metaphase.CLASSIFICATION,
    Phase.PLAN: Metaphase.PLANNING,
    Phase.APPROVE_PLAN: Metaphase.PLANNING,
    Phase.DEPLOY: Metaphase.DEPLOYMENT,
    Phase.BACKOUT: Metaphase.DEPLOYMENT,
    Phase.VALIDATE: Metaphase.VALIDATION,
    Phase.REVIEW: Metaphase.DONE,
    Phase.CLOSE: Metaphase.DONE,
    Phase.ABANDON: Metaphase.DONE,
}
FINAL_PHASES = frozenset({Phase.CLOSE, Phase.ABANDON})


class CompletionCode(TextChoices):
    SUCCESSFUL = "Successful", pgettext_lazy("completion code", "Successful")
    SUCCESSFUL_WITH_PROBLEMS = "SuccessfulWithProblems", pgettext_lazy("completion code", "Successful with problems")
    FAILED = "Failed", pgettext_lazy("completion code", "Failed")
    BACKED_OUT = "BackedOut", pgettext_lazy("completion code", "Backed out")
    REJECTED = "Rejected", pgettext_lazy("completion code", "Rejected")
    WITHDRAWN = "Withdrawn", pgettext_lazy("completion code", "Withdrawn")


class Risk(TextChoices):
    LOW = "Low", pgettext_lazy("risk", "Low")
    MEDIUM = "Medium", pgettext_lazy("risk", "Medium")
    HIGH = "High", pgettext_lazy("risk", "High")


class Impact(TextChoices):
    ENTERPRISE = "Enterprise", pgettext_lazy("impact", "Enterprise")
    SITE_OR_DEPARTMENT = "SiteOrDepartment", pgettext_lazy("impact", "Site or department")
    MULTIPLE_USERS = "MultipleUsers", pgettext_lazy("impact", "Multiple users")
    SINGLE_USER = "SingleUser", pgettext_lazy("impact", "Single user")


class Urgency(TextChoices):
    TOTAL_LOSS_OF_SERVICE = "TotalLossOfService", pgettext_lazy("urgency", "Total loss of service")
    SEVERE_DISRUPTION = "SevereDisruption", pgettext_lazy("urgency", "Severe disruption")
    SLIGHT_DISRUPTION = "SlightDisruption", pgettext_lazy("urgency", "Slight disruption")
    NO_DISRUPTION = "NoDisruption", pgettext_lazy("urgency", "No disruption")


class Priority(TextChoices):
    CRITICAL = "Critical", pgettext_lazy("priority", "Critical")
    HIGH = "High", pgettext_lazy("priority", "High")
    MEDIUM = "Medium", pgettext_lazy("priority", "Medium")
    LOW = "Low", pgettext_lazy("priority", "Low")


PRIORITIES = {
    urgency: dict(zip(Impact, row, strict=True))
    for urgency, row in {
        Urgency.TOTAL_LOSS_OF_SERVICE: (Priority.CRITICAL, Priority.HIGH, Priority.HIGH, Priority.MEDIUM),
        Urgency.SEVERE_DISRUPTION: (Priority.HIGH, Priority.HIGH, Priority.MEDIUM, Priority.MEDIUM),
        Urgency.SLIGHT_DISRUPTION: (Priority.HIGH, Priority.MEDIUM, Priority.MEDIUM, Priority.LOW),
        Urgency.NO_DISRUPTION: (Priority.MEDIUM, Priority.MEDIUM, Priority.LOW, Priority.LOW),
    }.items()
}


class Visibility(TextChoices):
    PUBLIC = "public", _("Public")
    PRIVATE = "private", _("Private")


class TextFormat(TextChoices):
    """How pages show a comment: as it was typed, or rendered as Markdown."""

    PLAIN = "Plain", pgettext_lazy("format of a text", "Plain")
    MARKDOWN = "Markdown", "Markdown"


class Decision(TextChoices):
    APPROVED = "Approved", _("Approved")
    DENIED = "Denied", _("Denied")


class ItemStatus(TextChoices):
    """The result for one record of a bulk job. `failed`: not altered. `unchanged`: nothing had to be altered."""

    WAITING = "waiting", _("Waiting")
    DONE = "done", _("Done")
    UNCHANGED = "unchanged", _("Unchanged")
    FAILED = "failed", _("Not done")


class Role(TextChoices):
    """A user who holds any role is staff. The permissions of each role are in changes/setup/roles.py."""

    AGENT = "Service desk agent", "Service desk agent"
    CHANGE_MANAGER = "Change manager", "Change manager"
    INTEGRATION_ADMINISTRATOR = "Integration administrator", "Integration administrator"
    AUDITOR = "Auditor", "Auditor"
