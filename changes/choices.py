"""The values of a change record, verbatim as in the API, the pages and the rules."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class ChangeType(TextChoices):
    NORMAL = "Normal", "Normal"
    STANDARD = "Standard", "Standard"
    EMERGENCY = "Emergency", "Emergency"


class Metaphase(TextChoices):
    CLASSIFICATION = "Classification", "Classification"
    PLANNING = "Planning", "Planning"
    DEPLOYMENT = "Deployment", "Deployment"
    VALIDATION = "Validation", "Validation"
    DONE = "Done", "Done"


class Phase(TextChoices):
    LOG = "Log", "Log"
    EVALUATE = "Evaluate", "Evaluate"
    PLAN = "Plan", "Plan"
    APPROVE_PLAN = "ApprovePlan", "ApprovePlan"
    DEPLOY = "Deploy", "Deploy"
    BACKOUT = "Backout", "Backout"
    VALIDATE = "Validate", "Validate"
    REVIEW = "Review", "Review"
    CLOSE = "Close", "Close"
    ABANDON = "Abandon", "Abandon"

    @property
    def metaphase(self) -> Metaphase:
        return METAPHASES[self]

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
    SUCCESSFUL = "Successful", "Successful"
    SUCCESSFUL_WITH_PROBLEMS = "SuccessfulWithProblems", "SuccessfulWithProblems"
    FAILED = "Failed", "Failed"
    BACKED_OUT = "BackedOut", "BackedOut"
    REJECTED = "Rejected", "Rejected"
    WITHDRAWN = "Withdrawn", "Withdrawn"


class Risk(TextChoices):
    LOW = "Low", "Low"
    MEDIUM = "Medium", "Medium"
    HIGH = "High", "High"


class Impact(TextChoices):
    ENTERPRISE = "Enterprise", "Enterprise"
    SITE_OR_DEPARTMENT = "SiteOrDepartment", "SiteOrDepartment"
    MULTIPLE_USERS = "MultipleUsers", "MultipleUsers"
    SINGLE_USER = "SingleUser", "SingleUser"


class Urgency(TextChoices):
    TOTAL_LOSS_OF_SERVICE = "TotalLossOfService", "TotalLossOfService"
    SEVERE_DISRUPTION = "SevereDisruption", "SevereDisruption"
    SLIGHT_DISRUPTION = "SlightDisruption", "SlightDisruption"
    NO_DISRUPTION = "NoDisruption", "NoDisruption"


class Priority(TextChoices):
    CRITICAL = "Critical", "Critical"
    HIGH = "High", "High"
    MEDIUM = "Medium", "Medium"
    LOW = "Low", "Low"


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
    """How a comment is shown: as it was typed, or as Markdown."""

    PLAIN = "Plain"
    MARKDOWN = "Markdown"


class Decision(TextChoices):
    APPROVED = "Approved", _("Approved")
    DENIED = "Denied", _("Denied")


class ItemStatus(TextChoices):
    """What became of one record of a bulk job. `failed`: it stays as it was; `unchanged`: it was so already."""

    WAITING = "waiting", _("Waiting")
    DONE = "done", _("Done")
    UNCHANGED = "unchanged", _("Unchanged")
    FAILED = "failed", _("Not done")


class Role(TextChoices):
    """Holding one makes a user staff. What each may do: changes/roles.py."""

    AGENT = "Service desk agent", "Service desk agent"
    CHANGE_MANAGER = "Change manager", "Change manager"
    INTEGRATION_ADMINISTRATOR = "Integration administrator", "Integration administrator"
    AUDITOR = "Auditor", "Auditor"
