"""The environment of an installation on one machine. manage.py asks for it before Django reads the settings.

`serve` makes a key for its folder and keeps it there, so there is none in the code. Every other command finds the key
of a folder that `serve` has made, and none elsewhere.
"""

from __future__ import annotations

import argparse
import atexit
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
KEY_FILE = "secret_key"
PORT, SIMULATOR_PORT = 8000, 9911
HELP = ("", "help", "--help", "-h")


class NotPossible(Exception):  # noqa: N818 - it says what is not, in one line for the person at the terminal
    """Nothing can be started; the message says why, and what mends it."""


def prepare(arguments: Sequence[str]) -> None:
    """Sets the environment for the command that `arguments`, those of manage.py, name."""
    command = arguments[1] if len(arguments) > 1 else ""
    if command in {"serve", "demo"}:
        os.umask(0o077)  # the data, the logs and the messages are for nobody else on this machine
    try:
        if command == "serve":
            os.environ.update(_for_serving(arguments[2:]))
        elif command == "demo":
            os.environ.update(_for_trying())
        else:
            _use_kept_key()
            if command in HELP:
                # Only to be able to name the commands.
                os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    except NotPossible as error:
        sys.exit(f"casexchange: {error}")


def var_dir() -> Path:
    """As the settings take it."""
    return Path(os.environ.get("VAR_DIR") or ROOT / "var").absolute()


def embedded(folder: Path, key: str, base_url: str) -> dict[str, str]:
    """What all processes of an installation in `folder` get: SQLite, the broker of files, partners on this machine."""
    return {
        "DEBUG": "0",
        "SECRET_KEY": key,
        "VAR_DIR": str(folder),
        "MEDIA_ROOT": str(folder / "media"),
        "BASE_URL": base_url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "CELERY_BROKER_URL": "filesystem://localhost/",
        "OUTGOING_ALLOWED_NETWORKS": "127.0.0.0/8",
    }


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`, which are needed both before and after Django is there."""
    environment = os.environ
    parser.add_argument("--port", type=_port, default=environment.get("PORT", PORT), help="The web server's (PORT).")
    parser.add_argument(
        "--simulator-port",
        type=_port,
        default=environment.get("SIMULATOR_PORT", SIMULATOR_PORT),
        help="The partner simulator's (SIMULATOR_PORT).",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _for_serving(arguments: Sequence[str]) -> Mapping[str, str]:
    parser = argparse.ArgumentParser(prog="manage.py serve", add_help=False)
    add_serve_options(parser)
    options, _ = parser.parse_known_args(arguments)
    folder = var_dir()
    return embedded(folder, _kept_key(folder), f"http://127.0.0.1:{options.port}")


def _for_trying() -> Mapping[str, str]:
    """A throw-away folder, which is gone when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="casexchange-demo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return embedded(folder, secrets.token_urlsafe(50), "http://127.0.0.1")


def _use_kept_key() -> None:
    file = var_dir() / KEY_FILE
    if not os.environ.get("SECRET_KEY") and os.access(file, os.R_OK):
        os.environ["SECRET_KEY"] = file.read_text(encoding="ascii").strip()


def _kept_key(folder: Path) -> str:
    """The key of this folder, made at the first start. Raises NotPossible for a folder that cannot be used."""
    file = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Tried, not asked: a file system that is mounted read-only says no to nobody before it is written to.
        with tempfile.TemporaryFile(dir=folder):
            pass
        if not file.exists():
            keep_private(file, secrets.token_urlsafe(50) + "\n")
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise NotPossible(
            f"{folder} cannot be written to ({error.strerror}). Set VAR_DIR to a folder of your own."
        ) from error


def keep_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        output.write(text)
    draft.replace(file)
