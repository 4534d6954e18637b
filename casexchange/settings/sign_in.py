"""The settings of signing in: passwords, second factor, OpenID Connect, sessions, mail."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from casexchange.settings.environment import env, positive
from changes.choices import Role

ROLES = tuple(Role.values)
# Beside the roles: people who may do everything without holding a role.
SUPERUSER = "superuser"


def _roles(name: str, default: str) -> frozenset[str]:
    """Comma-separated names of roles, and `superuser`."""
    chosen = {part.strip() for part in env.str(name, default).split(",") if part.strip()}
    if unknown := chosen - {*ROLES, SUPERUSER}:
        possible = ", ".join((*ROLES, SUPERUSER))
        raise ImproperlyConfigured(f"{name}: {', '.join(sorted(unknown))} is no role. Choose from {possible}")
    return frozenset(chosen)


def _roles_of_claims() -> dict[str, str]:
    """`value=Role` pairs: what a value in the claim stands for. A role's own name always stands for the role."""
    mapped = {role.casefold(): role for role in ROLES}
    for pair in env.list("OIDC_ROLES", default=[]):
        value, _, role = (part.strip() for part in pair.partition("="))
        if role not in ROLES or not value:
            raise ImproperlyConfigured(
                f"OIDC_ROLES={pair!r}: write value=role pairs, comma-separated. The roles are {', '.join(ROLES)}"
            )
        mapped[value.casefold()] = role
    return mapped


def _oidc_server() -> str:
    """The address of the OpenID provider, "" for none. Its answers are trusted, so it must be reached over TLS."""
    server = env.str("OIDC_SERVER_URL", "").rstrip("/")
    parts = urlsplit(server)
    is_local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if server and not (parts.hostname and (parts.scheme == "https" or is_local)):
        raise ImproperlyConfigured(f"OIDC_SERVER_URL={server!r}: write https://login.example.com/realms/desk")
    if server and not env.str("OIDC_CLIENT_ID", ""):
        raise ImproperlyConfigured("OIDC_CLIENT_ID is not set, but OIDC_SERVER_URL is. Set both, or neither.")
    return server


def _mail() -> dict[str, Any]:
    """Django's settings of EMAIL_URL. The error does not quote it: it holds a password."""
    if not re.match(r"(smtp|smtps|smtp\+tls|smtp\+ssl|consolemail|filemail|memorymail|dummymail)://", _MAIL_URL):
        raise ImproperlyConfigured("EMAIL_URL: write smtp+tls://USER:PASSWORD@HOST:587, or leave it empty for no mail")
    return env.email_url("EMAIL_URL")


# --- Passwords, and how often they may be wrong ---

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # refuses a locked account or address before a password is hashed
    "integrations.setup.separation.PartnersStayOut",
    "django.contrib.auth.backends.ModelBackend",
]
# The hash of Django's default hasher, of which only a few are computed at a time.
PASSWORD_HASHERS = ["changes.pages.sign_in.hashing.FewAtOnce"]
PASSWORD_HASHES_AT_ONCE = 2
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
# So many wrong passwords or codes lock an account, or an address, for a minute, and each further one for twice as long
# up to a quarter of an hour. changes/pages/sign_in/lockout.py has the rules.
AXES_HANDLER = "changes.pages.sign_in.lockout.Lockout"
AXES_FAILURE_LIMIT = 10
LOCKOUT_ADDRESS_LIMIT = 50
AXES_COOLOFF_TIME = 24  # hours after which wrong attempts are forgotten
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # a try during the pause does not make it longer
AXES_LOCKOUT_CALLABLE = "changes.pages.sign_in.lockout.locked_page"
AXES_SENSITIVE_PARAMETERS = ["code", "credential", "csrfmiddlewaretoken", "oldpassword", "password1", "password2"]
AXES_VERBOSE = False

# --- Accounts (django-allauth) ---

ACCOUNT_ADAPTER = "changes.pages.sign_in.accounts.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "changes.pages.sign_in.forms.SignInForm",
    "reauthenticate": "changes.pages.sign_in.forms.ConfirmForm",
    "change_password": "changes.pages.sign_in.forms.ChangeForm",
    "reset_password": "changes.pages.sign_in.forms.ResetForm",
    "reset_password_from_key": "changes.pages.sign_in.forms.NewPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_ENABLED = False
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # administrators enter the addresses
ACCOUNT_UNIQUE_EMAIL = False
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # otherwise anybody could have mail sent to anybody
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of a new password, and of second factors
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = int(positive("CONFIRM_AGAIN_SECONDS", 300))
# Wrong passwords and codes are counted by django-axes, and mail to one address by the form: django-allauth would count
# in each process.
ACCOUNT_RATE_LIMITS = dict.fromkeys(
    ("login", "login_failed", "reauthenticate", "change_password", "reset_password", "reset_password_from_key")
)
# A form that was opened before may be sent for longer: filling it in takes time.
CONFIRMED_FORM_AGE = max(1800, ACCOUNT_REAUTHENTICATION_TIMEOUT)

# --- Second factor ---

REQUIRE_SECOND_FACTOR_FOR = _roles("REQUIRE_SECOND_FACTOR_FOR", f"Integration administrator,{SUPERUSER}")
MFA_ADAPTER = "changes.pages.sign_in.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "changes.pages.sign_in.forms.CodeForm",
    "reauthenticate": "changes.pages.sign_in.forms.ConfirmByCodeForm",
    "activate_totp": "changes.pages.sign_in.forms.AddAppForm",
    "add_webauthn": "changes.pages.sign_in.forms.AddKeyForm",
    "authenticate_webauthn": "changes.pages.sign_in.forms.KeyForm",
    "reauthenticate_webauthn": "changes.pages.sign_in.forms.ConfirmByKeyForm",
}
MFA_TOTP_ISSUER = env.str("TOTP_ISSUER", "casexchange")
MFA_TOTP_TOLERANCE = 1  # clocks of phones differ by some seconds
MFA_RECOVERY_CODES_SHOW_ONCE = True

# --- OpenID Connect for staff ---

OIDC_PROVIDER = "staff"  # in the address of the callback: /accounts/oidc/staff/login/callback/
OIDC_SERVER_URL = _oidc_server()
OIDC_NAME = env.str("OIDC_NAME", "OpenID Connect")
OIDC_ROLES_CLAIM = env.str("OIDC_ROLES_CLAIM", "roles")
OIDC_USERNAME_CLAIM = env.str("OIDC_USERNAME_CLAIM", "preferred_username")
OIDC_ROLES = _roles_of_claims()
SOCIALACCOUNT_ADAPTER = "changes.pages.sign_in.provider.ProviderAdapter"
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": OIDC_PROVIDER,
                "name": OIDC_NAME,
                "client_id": env.str("OIDC_CLIENT_ID", ""),
                "secret": env.str("OIDC_CLIENT_SECRET", ""),
                "settings": {"server_url": OIDC_SERVER_URL},
            }
        ]
        if OIDC_SERVER_URL
        else [],
    }
}

# --- Sessions ---

# Seconds without a request by the person after which a session ends.
SESSION_COOKIE_AGE = int(positive("SESSION_IDLE_SECONDS", 12 * 3600))

# --- Mail ---

# Without a mail server, passwords cannot be reset by mail, and the page says so.
_MAIL_URL = env.str("EMAIL_URL", "")
HAS_MAIL = bool(_MAIL_URL)
_mail_settings = _mail() if HAS_MAIL else {}
EMAIL_BACKEND = _mail_settings.get("EMAIL_BACKEND", "django.core.mail.backends.dummy.EmailBackend")
EMAIL_HOST = _mail_settings.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = _mail_settings.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _mail_settings.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _mail_settings.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = _mail_settings.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail_settings.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail_settings.get("EMAIL_FILE_PATH") or None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "casexchange@localhost")
