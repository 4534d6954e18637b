"""The change record, and what is added to it: comments, attachments, approvals.

A record is written by `save()` alone. It locks the row, compares with what the database holds, and refuses
what the workflow or another person's edit forbids; `changed_fields` then tells the signal's receivers what is new.
"""

from .additions import Addition, Approval, Attachment, Comment
from .bulk import BulkItem, BulkJob
from .group import SupportGroup
from .installation.rate_counters import RateCounter
from .installation.restored_copy import RestoredCopy, restored_copy
from .installation.security_event import PendingEvent, SecurityEvent, SecurityMail
from .personal.looks import Look
from .personal.preferences import Preferences, SavedFilter
from .record import Change, FieldChange

__all__ = [
    "Addition",
    "Approval",
    "Attachment",
    "BulkItem",
    "BulkJob",
    "Change",
    "Comment",
    "FieldChange",
    "Look",
    "PendingEvent",
    "Preferences",
    "RateCounter",
    "RestoredCopy",
    "SavedFilter",
    "SecurityEvent",
    "SecurityMail",
    "SupportGroup",
    "restored_copy",
]
