"""The root URL configuration."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

urlpatterns = [
    path("", include("changes.urls")),
    path("exchange/", include("integrations.urls")),
    path("api/v1/", include("integrations.api.urls")),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
handler400 = "casexchange.error_pages.bad_request"
handler500 = "casexchange.middleware.server_error"
