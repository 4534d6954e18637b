"""The addresses of the face, from the root on. Each may end with a slash."""

from django.urls import URLPattern, re_path

from . import addition_views, directory, records, write_views
from .face import UnknownCallView
from .registration import OTHER_TYPES
from .sign_in_views import SignInView

app_name = "smax"

_TENANT = r"^rest/(?P<tenant>[^/]+)"
_RECORD = r"(?P<entity_type>[A-Za-z][A-Za-z0-9_]{0,63})/(?P<record_id>[^/]{1,40})"
_GUID = r"(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
_EMPTY = "|".join(name for name in OTHER_TYPES if name not in ("ExternalReference", "PersonGroup", "Person"))


def _path(address: str, view: type, name: str) -> URLPattern:
    return re_path(f"{address}/?$", view.as_view(), name=name)  # type: ignore[attr-defined]


urlpatterns = [
    _path(r"^auth/authentication-endpoint/authenticate/(?:login|token)", SignInView, "sign-in"),
    _path(f"{_TENANT}/ces", write_views.ExchangeView, "exchange"),
    _path(f"{_TENANT}/ces/attachment", addition_views.UploadView, "exchange-upload"),
    _path(f"{_TENANT}/ces/attachment/{_GUID}", addition_views.FileView, "exchange-file"),
    _path(f"{_TENANT}/ems/bulk", write_views.BulkView, "bulk"),
    _path(f"{_TENANT}/ems/ExternalReference", records.ReferencesView, "references"),
    _path(f"{_TENANT}/ems/PersonGroup(?:/(?P<record_id>[^/]{{1,40}}))?", directory.GroupsView, "groups"),
    _path(f"{_TENANT}/ems/Person(?:/(?P<record_id>[^/]{{1,40}}))?", directory.PeopleView, "people"),
    _path(f"{_TENANT}/ems/(?P<entity_type>{_EMPTY})(?:/(?P<record_id>[^/]{{1,40}}))?", directory.EmptyView, "empty"),
    _path(f"{_TENANT}/ems/(?P<entity_type>[A-Za-z][A-Za-z0-9_]{{0,63}})", records.RecordsView, "records"),
    _path(f"{_TENANT}/ems/{_RECORD}", records.RecordsView, "record"),
    _path(f"{_TENANT}/collaboration/comments/{_RECORD}", addition_views.CommentsView, "comments"),
    _path(f"{_TENANT}/collaboration/comments/{_RECORD}/comments", addition_views.ListedCommentsView, "listed-comments"),
    _path(f"{_TENANT}/frs/file-list", addition_views.FileListView, "files"),
    _path(f"{_TENANT}/frs/file-list/{_GUID}", addition_views.FileView, "file"),
    _path(f"{_TENANT}/personalization/person/me", directory.MeView, "me"),
    re_path("^(?:auth|rest)/", UnknownCallView.as_view(), name="unknown"),
]
