"""All settings, read from the environment. The table in README.md documents them."""

import os
from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

import casexchange
from casexchange.settings.databases import *  # noqa: F403 - the databases, in a module of their own
from casexchange.settings.environment import (
    command,
    encryption_keys,
    env,
    folder,
    networks,
    numbers,
    one_of,
    positive,
    rate,
    whole,
    zero_or_more,
)
from casexchange.settings.folders import BASE_DIR, MEDIA_ROOT, VAR_DIR  # noqa: F401 - Django reads MEDIA_ROOT
from casexchange.settings.logs import *  # noqa: F403 - what is logged, in a module of its own
from casexchange.settings.metrics import *  # noqa: F403
from casexchange.settings.retention import *  # noqa: F403
from casexchange.settings.sign_in import *  # noqa: F403 - the settings of signing in, in a module of their own
from casexchange.settings.smax import *  # noqa: F403

VERSION = casexchange.__version__


BASE_URL = one_of(
    "BASE_URL", "http://127.0.0.1:8000", r"https?://[^/\s]+/?", "write it as https://desk.example.com, without a path"
).rstrip("/")

# --- Django ---

DEBUG = env.bool("DEBUG", False)
_KNOWN_KEYS = ("only-for-development", "django-insecure")
SECRET_KEY = env.str("SECRET_KEY", _KNOWN_KEYS[0] if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Give a long random text, or DEBUG=1 on a developer's machine.")
if not DEBUG and (len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 10 or SECRET_KEY.startswith(_KNOWN_KEYS)):
    raise ImproperlyConfigured("SECRET_KEY is too short or known. Give a random text of at least 50 characters.")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# The first one encrypts secrets in the database, all of them decrypt.
FIELD_ENCRYPTION_KEYS = encryption_keys("FIELD_ENCRYPTION_KEYS")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
if not DEBUG and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS: name the hosts, such as desk.example.com. * would accept every name.")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "changes",
    "integrations",
    "integrations.sandbox",
    "casexchange.apps.CaseExchangeAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "axes",
    "csp",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "knox",
    "rest_framework",
    "simple_history",
]
MIDDLEWARE = [
    "casexchange.web.watching.WatchMiddleware",
    "casexchange.web.requests.RequestsMiddleware",
    "casexchange.web.proxies.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "casexchange.web.headers.HeadersMiddleware",
    "casexchange.web.compression.PageCompressionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "changes.texts.file_names.FileNamesMiddleware",
    "casexchange.web.body_limits.BodyLimitsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "changes.pages.preferences.preferences.PreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "changes.security_log.middleware.SecurityLogMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "casexchange.web.error_pages.ErrorPagesMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "changes.pages.sign_in.middleware.SignInMiddleware",
    "casexchange.web.repeating.ConflictMiddleware",
]
ROOT_URLCONF = "casexchange.urls"
WSGI_APPLICATION = "casexchange.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "changes.pages.preferences.preferences.for_templates",
            ],
            "builtins": ["changes.templatetags.isolation"],
        },
    }
]

# The API, the logs and stored texts are English. changes/pages/preferences/preferences.py chooses a page's language.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        # Attachments are for the user of the server alone.
        "OPTIONS": {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700},
    },
    "staticfiles": {"BACKEND": "casexchange.web.static_files.CollectedOrPlainStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False  # no other site uses our scripts and fonts

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
if SESSION_COOKIE_SECURE:
    # Browsers take a cookie with this prefix from this very host only, and by https.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if BASE_URL.startswith("https://"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
# Subdomains of this host may be somebody else's, and a list in the browsers is for the owner of the domain to ask for.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
CSRF_FAILURE_VIEW = "changes.pages.resume.form_out_of_date"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "frame-src": [SELF],
        "worker-src": [NONE],
        "media-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

# --- Celery: the broker only wakes workers; the operations to send are in the database ---

CELERY_BROKER_URL = one_of(
    "CELERY_BROKER_URL",
    "filesystem://",
    r"(filesystem|rediss?|memory)://.*",
    "write filesystem:// or redis://HOST:6379/0",
)
if CELERY_BROKER_URL == "filesystem://":
    CELERY_BROKER_URL = "filesystem://localhost/"  # the host has no meaning, but without one Celery logs a warning
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
# Two queues, so that a worker can be given one of them with `-Q`. Without `-Q` a worker takes from both in turn.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("delivery", "housekeeping")]
CELERY_TASK_ROUTES = {
    "integrations.tasks.deliver": {"queue": "delivery"},
    "integrations.tasks.dispatch_due": {"queue": "delivery"},
    "integrations.tasks.poll_due": {"queue": "housekeeping"},
    "integrations.tasks.release_stale": {"queue": "housekeeping"},
    "integrations.tasks.bulk": {"queue": "housekeeping"},
    "integrations.tasks.resume_bulk": {"queue": "housekeeping"},
    "integrations.tasks.tend_security_log": {"queue": "housekeeping"},
    "integrations.tasks.tend_tokens": {"queue": "housekeeping"},
    "integrations.tasks.retain": {"queue": "housekeeping"},
}
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_CREATE_MISSING_QUEUES = False  # a mistyped name would create a queue that no worker reads
# A wake-up is acknowledged when its task has ended, and each process holds only one. Otherwise a process in a long
# drain would hold the next wake-up too, while another process has nothing to do.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A message is not requeued when its process is killed: a message that kills every process would be requeued for ever
# at full speed. The sweep continues the work.
CELERY_TASK_REJECT_ON_WORKER_LOST = False
# At least two: one process may be busy with a long drain, and the sweeps and the housekeeping need another.
CELERY_WORKER_CONCURRENCY = max(2, os.cpu_count() or 1)
# The database connection stays open between tasks, as it does between requests; casexchange/celery.py closes a bad one.
CELERY_DB_REUSE_MAX = 2**31
# A worker never gives up connecting: not at its start, not later, and not when the broker refuses to write.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
# A running task goes on while the broker is gone: sending does not need the broker.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # the logs are set up below
# Celery does not repeat a failed wake-up. The thread of integrations/workers/wakeup.py does, and the sweep finds the
# operation in any case.
CELERY_TASK_PUBLISH_RETRY = False
# Seconds until a wake-up that no worker took expires: a sweep has done its work by then. Far more than the interval of
# the sweep, since the clocks of two machines may differ.
WAKE_UP_EXPIRES = 3600
if CELERY_BROKER_URL.startswith("filesystem://"):
    _broker = VAR_DIR / "broker"
    folder(_broker / "queue")
    folder(_broker / "control")
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        # The same folder for both: the worker reads the messages that are sent here.
        "data_folder_in": str(_broker / "queue"),
        "data_folder_out": str(_broker / "queue"),
        "control_folder": str(_broker / "control"),
        "polling_interval": 0.1,
    }
    CELERY_WORKER_POOL = "threads"
    CELERY_WORKER_CONCURRENCY = 4
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
elif CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # Seconds. No call waits for ever on a broker that hangs or vanished without closing the connection. Waiting for
        # the next message has no such limit; the health check ends that wait.
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # No visibility timeout: casexchange/broker/redis_broker.py does not keep unacknowledged messages.
    }
DISPATCH_INTERVAL = positive("DISPATCH_INTERVAL", 5)
# Not hours or days: beat starts to count anew when it is restarted.
TOKEN_SWEEP_SECONDS = 600
CELERY_BEAT_SCHEDULER = "casexchange.broker.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "dispatch-due": {"task": "integrations.tasks.dispatch_due", "schedule": DISPATCH_INTERVAL},
    "release-stale": {"task": "integrations.tasks.release_stale", "schedule": DISPATCH_INTERVAL},
    "poll-due": {"task": "integrations.tasks.poll_due", "schedule": DISPATCH_INTERVAL},
    "resume-bulk": {"task": "integrations.tasks.resume_bulk", "schedule": DISPATCH_INTERVAL},
    "tend-security-log": {"task": "integrations.tasks.tend_security_log", "schedule": DISPATCH_INTERVAL},
    "tend-tokens": {"task": "integrations.tasks.tend_tokens", "schedule": TOKEN_SWEEP_SECONDS},
    "retain": {"task": "integrations.tasks.retain", "schedule": TOKEN_SWEEP_SECONDS},
}
# The longest sleep of beat, in seconds, which is also how soon it notices that the clock was set.
CELERY_BEAT_MAX_LOOP_INTERVAL = min(1.0, DISPATCH_INTERVAL)

# --- The exchange ---

OUTGOING_ALLOWED_NETWORKS = networks("OUTGOING_ALLOWED_NETWORKS")
DELIVERY_TIMEOUT = positive("DELIVERY_TIMEOUT", 15)
DELIVERY_RETRY_SCHEDULE = numbers("DELIVERY_RETRY_SCHEDULE", "5,30,120,600,1800,7200,21600,43200,86400")
DELIVERY_LEASE = positive("DELIVERY_LEASE", 60)
BREAKER_FAILURES = max(1, int(positive("BREAKER_FAILURES", 10)))
BREAKER_OPEN_SECONDS = positive("BREAKER_OPEN_SECONDS", 30)
ATTACHMENT_MAX_BYTES = int(positive("ATTACHMENT_MAX_BYTES", 25 * 1024 * 1024))
# Whether files that a double click runs are taken; the command that scans each file.
ATTACHMENT_PROGRAMS = env.bool("ATTACHMENT_PROGRAMS", False)
ATTACHMENT_SCAN_COMMAND = command("ATTACHMENT_SCAN_COMMAND")
# A JSON body without the content of attachments, and one with an attachment of the full size in base64 (4 bytes for 3).
API_BODY_MAX_BYTES = 1024 * 1024
API_REQUEST_MAX_BYTES = ATTACHMENT_MAX_BYTES // 3 * 4 + API_BODY_MAX_BYTES
# What one partner can make us store in an hour.
PARTNER_BYTES_PER_HOUR = int(zero_or_more("PARTNER_BYTES_PER_HOUR", 64 * 1024 * 1024))
# Files of one partner, in all.
PARTNER_FILES_MAX_BYTES = int(zero_or_more("PARTNER_FILES_MAX_BYTES", 10 * 1024**3))
# A form without its files. The longest has five texts of 100,000 characters, of which each may take 12 bytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# --- The web server ---

# Threads of each process in which Django runs. casexchange/asgi.py reads bodies and writes answers without them.
WEB_THREADS = int(positive("WEB_THREADS", 4))
# Our own proxies: only they are believed when they name a caller's address.
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
# Seconds in which a request must arrive, and its answer must be taken.
WEB_TIMEOUT = positive("WEB_TIMEOUT", 30)

# --- REST API ---

API_RATE_LIMIT = rate("API_RATE_LIMIT", "6000/minute")
API_ADDRESS_RATE_LIMIT = rate("API_ADDRESS_RATE_LIMIT", "30000/minute")
API_ANONYMOUS_RATE_LIMIT = rate("API_ANONYMOUS_RATE_LIMIT", "300/minute")
# How long a new token lives, if nobody says otherwise.
API_TOKEN_DAYS = whole("API_TOKEN_DAYS", 365, most=36_500)
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": timedelta(days=API_TOKEN_DAYS), "AUTO_REFRESH": False}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["integrations.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["changes.api.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "changes.api.negotiation.Negotiation",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["changes.api.throttling.ApiThrottle"],
    "DEFAULT_SCHEMA_CLASS": "changes.api.description.schema.ProblemSchema",
    "EXCEPTION_HANDLER": "changes.api.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    # No `?format=` parameter: the Accept header chooses the format.
    "URL_FORMAT_OVERRIDE": None,
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "changes.api.problems.ProblemHandler",
    "EXCEPTION_FORMATTER_CLASS": "changes.api.problems.ProblemFormatter",
    "NESTED_FIELD_SEPARATOR": ".",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
}
SPECTACULAR_SETTINGS = {
    # The schema lists values only: labels are for people.
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {"AcknowledgedStatusEnum": ["Delivered", "Refused"]},
    "TITLE": "casexchange",
    "DESCRIPTION": "Case exchange of change records between a service desk and its partners.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
}

# --- Audit ---

SIMPLE_HISTORY_HISTORY_ID_USE_UUID = False
# No index on the date: the history is only read by change, and each save would have to write the index.
SIMPLE_HISTORY_DATE_INDEX = False
