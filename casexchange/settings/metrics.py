"""The settings of the figures for Prometheus."""

import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from casexchange.settings.environment import env, folder
from casexchange.settings.folders import VAR_DIR
from integrations.watch import process_files


def _token() -> str:
    """The error does not quote it."""
    token = env.str("METRICS_TOKEN", "")
    if token and not re.fullmatch(r"[!-~]{20,}", token):
        raise ImproperlyConfigured(
            "METRICS_TOKEN: give at least 20 characters without spaces, such as the output of: openssl rand -hex 32"
        )
    return token


def _port() -> int | None:
    text = env.str("METRICS_PORT", "").strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ImproperlyConfigured(f"METRICS_PORT={text!r}: give a port from 1 to 65535, such as 9464")
    return int(text)


def _folder() -> Path:
    chosen = folder(Path(env.str("METRICS_DIR", str(VAR_DIR / "metrics"))).absolute(), "METRICS_DIR")
    if not os.access(chosen, os.W_OK):
        raise ImproperlyConfigured(f"METRICS_DIR: {chosen} cannot be written to. Set it to a writable folder.")
    return chosen


# Each process counts in files of its own here. They are of no use when all processes have ended.
METRICS_DIR = _folder()
process_files.count_in(METRICS_DIR)
# Who has it may read the figures at /metrics. Empty: there is no such address.
METRICS_TOKEN = _token()
# Where `manage.py serve_metrics` answers.
METRICS_PORT = _port()
METRICS_ADDRESS = env.str("METRICS_ADDRESS", "127.0.0.1")
