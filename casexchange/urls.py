"""The root URL configuration."""

from django.contrib import admin
from django.urls import include, path

from casexchange.web.watching import ADDRESSES

urlpatterns = [
    # Answered by WatchMiddleware, before Django looks here.
    *(path(address.removeprefix("/"), view, name=view.__name__) for address, view in ADDRESSES.items()),
    # Calls by programs first: the order is that in which Django looks.
    path("api/v1/", include("integrations.connections.urls")),
    path("api/v1/", include("integrations.api.urls")),
    path("", include("changes.urls")),
    path("exchange/", include("integrations.urls")),
    path("", include("integrations.smax.urls")),
    path("accounts/", include("changes.pages.sign_in.urls")),
    path("admin/", admin.site.urls),
]
handler400 = "casexchange.web.error_pages.bad_request"
handler500 = "casexchange.web.repeating.server_error"
