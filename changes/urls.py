from django.urls import include, path, re_path

from .pages.calendar import views as calendar_views
from .pages.change import views as change_views
from .pages.conversation import views as conversation_views
from .pages.desk import views as desk_views
from .pages.edit import views as edit_views
from .pages.list import views as list_views
from .pages.preferences import views as preferences_views
from .pages.security_log import views as security_log_views
from .pages.workflow import views as workflow_views

app_name = "changes"

_CHANGE = r"^changes/(?P<number>CHG[0-9]{7,19})/"
_ATTACHMENT = _CHANGE + r"attachments/(?P<pk>[0-9]{1,18})/"

urlpatterns = [
    path("", desk_views.DeskPage.as_view(), name="home"),
    path("preferences/", preferences_views.EditPreferences.as_view(), name="preferences"),
    path("keyboard/", preferences_views.KeyboardMap.as_view(), name="keyboard"),
    path("calendar/", calendar_views.CalendarPage.as_view(), name="calendar"),
    path("workflow/", workflow_views.WorkflowPage.as_view(), name="workflow"),
    path("security-log/", security_log_views.SecurityLog.as_view(), name="security_log"),
    path("security-log/export.csv", security_log_views.SecurityLogExport.as_view(), name="security_log_export"),
    path("changes/", list_views.ChangeList.as_view(), name="list"),
    path("changes/export.csv", list_views.ChangeExport.as_view(), name="export"),
    path("changes/export/<slug:table>.csv", list_views.TableExport.as_view(), name="export_table"),
    path("changes/filters/", list_views.SavedFilterAdd.as_view(), name="save_filter"),
    path("changes/filters/<int:pk>/delete/", list_views.SavedFilterDelete.as_view(), name="delete_filter"),
    path("changes/bulk/", include("changes.bulk.urls")),
    path("changes/new/", edit_views.ChangeCreate.as_view(), name="create"),
    path("changes/new/preview/", edit_views.ChangeCreatePreview.as_view(), name="create-preview"),
    re_path(_CHANGE + r"$", change_views.ChangeDetail.as_view(), name="detail"),
    re_path(_CHANGE + r"export\.csv$", change_views.ExportOfOne.as_view(), name="export-one"),
    re_path(
        _CHANGE + r"export/(?P<table>[a-z_]+)\.csv$", change_views.TableExportOfOne.as_view(), name="export-one-table"
    ),
    re_path(_CHANGE + r"history/(?P<version>[0-9]{1,9})/$", change_views.SavePage.as_view(), name="save"),
    re_path(_CHANGE + r"edit/$", edit_views.ChangeEdit.as_view(), name="edit"),
    re_path(_CHANGE + r"edit/preview/$", edit_views.ChangeEditPreview.as_view(), name="edit-preview"),
    re_path(_CHANGE + r"transition/$", change_views.TransitionMake.as_view(), name="transition"),
    re_path(_CHANGE + r"abandon/$", change_views.Abandon.as_view(), name="abandon"),
    re_path(_CHANGE + r"approvals/$", change_views.ApprovalAdd.as_view(), name="approve"),
    re_path(_CHANGE + r"comments/$", conversation_views.CommentAdd.as_view(), name="comment"),
    re_path(_CHANGE + r"comments/(?P<pk>[0-9]{1,18})/$", conversation_views.OneComment.as_view(), name="one-comment"),
    re_path(_CHANGE + r"comments/preview/$", conversation_views.CommentPreview.as_view(), name="comment-preview"),
    re_path(_CHANGE + r"attachments/$", conversation_views.AttachmentAdd.as_view(), name="attach"),
    re_path(_ATTACHMENT + r"$", conversation_views.AttachmentDownload.as_view(), name="attachment"),
    re_path(_ATTACHMENT + r"preview/$", conversation_views.AttachmentPreview.as_view(), name="attachment-preview"),
]
