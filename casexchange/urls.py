"""The root URL configuration."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("changes.urls")),
    path("exchange/", include("integrations.urls")),
    path("api/v1/", include("integrations.connections.urls")),
    path("api/v1/", include("integrations.api.urls")),
    path("", include("integrations.smax.urls")),
    path("accounts/", include("changes.pages.sign_in.urls")),
    path("admin/", admin.site.urls),
]
handler400 = "casexchange.web.error_pages.bad_request"
handler500 = "casexchange.web.repeating.server_error"
