"""The URLs under /api/v1/. The views of changes are those of the app `changes`, opened to partners."""

from django.urls import path, re_path

from changes.api.addresses import UnknownAddressView
from changes.api.description.docs import DocsView, SchemaView

from . import changes
from .operations import OperationView
from .outbox import AcknowledgeManyView, AcknowledgeView, CollectView

app_name = "api"

_CHANGE = r"^changes/(?P<number>CHG[0-9]{7,19})/"
urlpatterns = [
    path("operations/", OperationView.as_view(), name="operations"),
    path("outbox/", CollectView.as_view(), name="outbox"),
    path("outbox/acknowledge/", AcknowledgeManyView.as_view(), name="outbox-acknowledge-many"),
    path("outbox/<uuid:pk>/acknowledge/", AcknowledgeView.as_view(), name="outbox-acknowledge"),
    path("changes/", changes.ChangeListView.as_view(), name="changes"),
    re_path(f"{_CHANGE}$", changes.ChangeView.as_view(), name="change"),
    re_path(f"{_CHANGE}transitions/$", changes.TransitionsView.as_view(), name="transitions"),
    re_path(f"{_CHANGE}approvals/$", changes.ApprovalsView.as_view(), name="approvals"),
    re_path(f"{_CHANGE}comments/$", changes.CommentsView.as_view(), name="comments"),
    re_path(f"{_CHANGE}attachments/$", changes.AttachmentsView.as_view(), name="attachments"),
    path("attachments/<int:pk>/content/", changes.AttachmentContentView.as_view(), name="attachment-content"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    # Any other URL under /api/v1/ gets a problem (RFC 9457) instead of a page.
    re_path("", UnknownAddressView.as_view()),
]
