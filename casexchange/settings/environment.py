"""Typed values from the environment. Each function raises ImproperlyConfigured, naming the variable and the remedy."""

import ipaddress
import re
import shlex
from pathlib import Path

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()


def numbers(name: str, default: str) -> list[float]:
    """Comma-separated numbers of seconds, at least one, none below 0."""
    text = env.str(name, default)
    try:
        result = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        result = []
    if not result or min(result) < 0:
        raise ImproperlyConfigured(f"{name}={text!r}: give seconds, comma-separated, such as {default}")
    return result


def positive(name: str, default: float) -> float:
    """A finite number above 0."""
    text = env.str(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise ImproperlyConfigured(f"{name}={text!r}: give a number above 0, such as {default:g}")
    return number


def whole(name: str, default: int, *, most: int) -> int:
    """A whole number from 1 to `most`."""
    text = env.str(name, str(default)).strip()
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ImproperlyConfigured(f"{name}={text!r}: give a whole number from 1 to {most}, such as {default}")
    return int(text)


def days(name: str) -> int | None:
    """A whole number of days from 1 on; None if the variable is empty or not set."""
    return whole(name, 1, most=36_500) if env.str(name, "").strip() else None


def zero_or_more(name: str, default: float) -> float:
    """A finite number; 0 means no limit."""
    text = env.str(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise ImproperlyConfigured(f"{name}={text!r}: give a number, such as {default:g}, or 0 for no limit")
    return number


def one_of(name: str, default: str, pattern: str, advice: str) -> str:
    """A text that matches the whole regular expression `pattern`. The error ends with `advice`."""
    text = env.str(name, default)
    if not re.fullmatch(pattern, text):
        shown = re.sub(r"(?<=://)[^/@]*@", "***@", text)  # a URL may hold a password
        raise ImproperlyConfigured(f"{name}={shown!r}: {advice}")
    return text


def rate(name: str, default: str) -> str:
    """A rate such as 6000/minute; empty means no limit."""
    advice = f"write a number and second, minute, hour or day, such as {default}; empty for no limit"
    return one_of(name, default, r"([1-9][0-9]*/(second|minute|hour|day))?", advice)


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Comma-separated IP networks; [] if the variable is not set."""
    try:
        return [ipaddress.ip_network(part.strip()) for part in env.str(name, "").split(",") if part.strip()]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}; write networks such as 10.0.0.0/8, comma-separated") from error


def command(name: str) -> str:
    """A command line that a shell could split into words; "" if the variable is not set."""
    text = env.str(name, "")
    try:
        shlex.split(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text!r}: {error}; write it as for a shell") from error
    return text


def encryption_keys(name: str) -> list[str]:
    """Comma-separated Fernet keys; [] if the variable is not set. The error does not quote them."""
    keys = [part.strip() for part in env.str(name, "").split(",") if part.strip()]
    for place, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name}: key {place} is not 32 bytes in URL-safe base64. Make one with: "
                'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
            ) from error
    return keys


def folder(path: Path, name: str = "VAR_DIR") -> Path:
    """Creates the folder of this setting, with its parents, if it is missing. Returns `path`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be created: {error.strerror}. Set {name} to a writable folder."
        ) from error
    return path
