"""The settings of the log, read from the environment."""

import logging
import re
from http import HTTPStatus
from typing import Any

import structlog

from casexchange.settings.environment import env, one_of
from changes.work import log_fields

LOG_LEVEL = one_of(
    "LOG_LEVEL", "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", "write DEBUG, INFO, WARNING, ERROR or CRITICAL"
)
LOG_FORMAT = one_of("LOG_FORMAT", "text", "text|json", "write text or json")
# Whether each delivery has a line too, not only tries that failed. It costs a worker up to a fifth of its speed.
LOG_DELIVERIES = env.bool("LOG_DELIVERIES", False)
# What our own lines say beside their text. No other extra of a library is written: a request has its address.
EXTRAS = {
    "attempt",
    "change",
    "http_status",
    "method",
    "milliseconds",
    "operation_id",
    "operations",
    "operations_count",
    "request_id",
    "result",
    "status",
    "system",
    "view",
}


def _no_lower_than(level: str) -> str:
    """The stricter of `LOG_LEVEL` and `level`; DEBUG if `LOG_LEVEL` is DEBUG."""
    levels = logging.getLevelNamesMapping()
    return LOG_LEVEL if LOG_LEVEL == "DEBUG" or levels[LOG_LEVEL] > levels[level] else level


def _plain_below_error(record: logging.LogRecord) -> bool:
    """Drops the traceback of records below ERROR: a refusal is no fault, and a traceback would look like one.

    Who calls the server by a name that is not its own, as every scanner does, is refused too.
    """
    if record.name == "django.security.DisallowedHost":
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    if record.levelno < logging.ERROR:
        record.exc_info = record.exc_text = None
    return True


def _is_news(record: logging.LogRecord) -> bool:
    """Drops Django's line of a 503. What answers so has told why, with the request id, which Django does not know."""
    return getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE


def _on_one_line(record: logging.LogRecord) -> bool:
    """Writes control characters of a message as escapes: a caller's text must not look like a line of the log."""
    message = record.getMessage()
    record.msg = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match[0])[1:-1], message)
    record.args = ()
    return True


def _with_work(record: logging.LogRecord) -> bool:
    """Adds what is worked on, such as ` [request_id=... operation_id=...]`. `extra` of the line itself comes first."""
    fields = dict(log_fields())
    fields |= {
        name: getattr(record, name) for name in ("request_id", "operation_id", "attempt") if name in vars(record)
    }
    told = " ".join(f"{name}={value}" for name, value in fields.items() if value != "")
    record.work = f" [{told}]" if told else ""
    return True


def _add_work(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**log_fields(), **event}.items() if value != ""}


# JSON escapes what could break a line, so the text of a message stays as it is.
_JSON = {
    "()": structlog.stdlib.ProcessorFormatter,
    "foreign_pre_chain": [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(EXTRAS),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_work,
    ],
    "processors": [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ],
}
_FILTERS = {"text": ["plain", "one_line", "work"], "json": ["plain"]}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s%(work)s"},
        "json": _JSON,
    },
    "filters": {
        "plain": {"()": "django.utils.log.CallbackFilter", "callback": _plain_below_error},
        "news": {"()": "django.utils.log.CallbackFilter", "callback": _is_news},
        "one_line": {"()": "django.utils.log.CallbackFilter", "callback": _on_one_line},
        "work": {"()": "django.utils.log.CallbackFilter", "callback": _with_work},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": _FILTERS[LOG_FORMAT]}
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Otherwise each wake-up and each sweep would log two lines. A failure is logged as a warning or an error.
        **{name: {"level": _no_lower_than("WARNING")} for name in ("celery.app.trace", "celery.worker.strategy")},
        "django.request": {"filters": ["news"]},
        "casexchange.attempts.delivered": {"level": LOG_LEVEL if LOG_DELIVERIES else _no_lower_than("WARNING")},
        # It logs the name of each attempt, which some people's fingers make their password. The security log has them.
        "axes": {"level": _no_lower_than("ERROR")},
    },
}
