"""The addresses below /accounts/. Only those pages of django-allauth are there that the product needs."""

from allauth.account import views as account
from allauth.socialaccount import views as socialaccount
from django.contrib.auth.views import LogoutView
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from . import views

_sign_in, _sign_out = views.SignIn.as_view(), LogoutView.as_view()

urlpatterns = [
    path("login/", _sign_in, name="login"),
    path("logout/", _sign_out, name="logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("confirm/", account.reauthenticate, name="account_reauthenticate"),
    path("confirm/provider/", views.confirm_with_provider, name="confirm_with_provider"),
    path("confirm/provider/done/", views.confirmed_with_provider, name="confirmed_with_provider"),
    path("password/", views.ChangePassword.as_view(), name="account_change_password"),
    path("password/reset/", views.ResetPassword.as_view(), name="account_reset_password"),
    path("password/reset/sent/", account.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("password/reset/done/", account.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    path("sessions/", views.Sessions.as_view(), name="usersessions_list"),
    path("security/", views.Security.as_view(), name="mfa_index"),
    path("security/webauthn/", RedirectView.as_view(pattern_name="mfa_index"), name="mfa_list_webauthn"),
    path("security/", include("allauth.mfa.urls")),
    path("oidc/<str:provider_id>/login/", views.start_at_provider, name="openid_connect_login"),
    path("oidc/<str:provider_id>/login/callback/", views.back_from_provider, name="openid_connect_callback"),
    path("oidc/cancelled/", socialaccount.login_cancelled, name="socialaccount_login_cancelled"),
    path("oidc/error/", socialaccount.login_error, name="socialaccount_login_error"),
    # django-allauth looks for its own names of these two.
    path("login/", _sign_in, name="account_login"),
    path("logout/", _sign_out, name="account_logout"),
]
