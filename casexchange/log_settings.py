"""The settings of the log, read from the environment. settings.py imports all of them."""

import logging
import re

from casexchange.environment import one_of

LOG_LEVEL = one_of(
    "LOG_LEVEL", "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", "write DEBUG, INFO, WARNING, ERROR or CRITICAL"
)


def _no_lower_than(level: str) -> str:
    """The stricter of `LOG_LEVEL` and `level`; DEBUG if `LOG_LEVEL` is DEBUG."""
    levels = logging.getLevelNamesMapping()
    return LOG_LEVEL if LOG_LEVEL == "DEBUG" or levels[LOG_LEVEL] > levels[level] else level


def _plain_below_error(record: logging.LogRecord) -> bool:
    """Drops the traceback of records below ERROR: a refusal is no fault, and a traceback would look like one."""
    if record.levelno < logging.ERROR:
        record.exc_info = record.exc_text = None
    return True


def _on_one_line(record: logging.LogRecord) -> bool:
    """Writes control characters of a message as escapes: a caller's text must not look like a line of the log."""
    message = record.getMessage()
    record.msg = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match[0])[1:-1], message)
    record.args = ()
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {
        "plain": {"()": "django.utils.log.CallbackFilter", "callback": _plain_below_error},
        "one_line": {"()": "django.utils.log.CallbackFilter", "callback": _on_one_line},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["plain", "one_line"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Otherwise each wake-up and each sweep would log two lines. A failure is logged as a warning or an error.
        **{name: {"level": _no_lower_than("WARNING")} for name in ("celery.app.trace", "celery.worker.strategy")},
        # It logs the name of each attempt, which some people's fingers make their password. The security log has them.
        "axes": {"level": _no_lower_than("ERROR")},
    },
}
