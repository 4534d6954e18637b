"""The environment of an installation on one machine. manage.py calls `prepare()` before Django reads the settings.

`serve` creates the keys in its folder, so that none is in the code. The other commands use the keys of such a folder;
for any other folder, SECRET_KEY must be set.
"""

from __future__ import annotations

import argparse
import atexit
import base64
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Each variable that holds a key, with the file that keeps it.
KEY_FILES = {"SECRET_KEY": "secret_key", "FIELD_ENCRYPTION_KEYS": "field_encryption_keys"}
PORT, SIMULATOR_PORT = 8000, 9911
HELP = ("", "help", "--help", "-h")


class NotPossible(Exception):  # noqa: N818 - reads as a statement, like the other exceptions of the project
    """Nothing can be started. The message is one line for the person at the terminal: the reason and the remedy."""


def prepare(arguments: Sequence[str]) -> None:
    """Sets the environment variables for a command. `arguments`: those of manage.py. Exits if it is not possible."""
    command = arguments[1] if len(arguments) > 1 else ""
    if command in {"serve", "demo"}:
        os.umask(0o077)  # other users of this machine must not read the data, the logs or the messages
    try:
        if command == "serve":
            os.environ.update(_for_serving(arguments[2:]))
        elif command == "demo":
            os.environ.update(_for_trying())
        else:
            _use_kept_keys()
            if command in HELP:
                # A key of no use, so that the help can be shown without SECRET_KEY.
                os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    except NotPossible as error:
        sys.exit(f"casexchange: {error}")


def var_dir() -> Path:
    """VAR_DIR, computed as in the settings."""
    return Path(os.environ.get("VAR_DIR") or ROOT / "var").absolute()


def embedded(folder: Path, keys: Mapping[str, str], base_url: str) -> dict[str, str]:
    """The environment of all processes of an installation in `folder`: SQLite, filesystem broker, local partners."""
    return {
        "DEBUG": "0",
        **keys,
        "VAR_DIR": str(folder),
        "MEDIA_ROOT": str(folder / "media"),
        "BASE_URL": base_url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "CELERY_BROKER_URL": "filesystem://localhost/",
        "OUTGOING_ALLOWED_NETWORKS": "127.0.0.0/8",
        "REQUIRE_SECOND_FACTOR_FOR": "",  # to try it out takes a name and a password
    }


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `serve`. They are parsed twice: before Django is set up, and by the command."""
    environment = os.environ
    parser.add_argument("--port", type=_port, default=environment.get("PORT", PORT), help="Of the web server (PORT).")
    parser.add_argument(
        "--simulator-port",
        type=_port,
        default=environment.get("SIMULATOR_PORT", SIMULATOR_PORT),
        help="Of the partner simulator (SIMULATOR_PORT).",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def _for_serving(arguments: Sequence[str]) -> Mapping[str, str]:
    parser = argparse.ArgumentParser(prog="manage.py serve", add_help=False)
    add_serve_options(parser)
    options, _ = parser.parse_known_args(arguments)
    folder = var_dir()
    return embedded(folder, _kept_keys(folder), f"http://127.0.0.1:{options.port}")


def _for_trying() -> Mapping[str, str]:
    """The environment for a temporary folder, which is deleted when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="casexchange-demo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return embedded(folder, _new_keys(), "http://127.0.0.1")


def _use_kept_keys() -> None:
    if os.environ.get("SECRET_KEY"):
        return
    for name, file in ((name, var_dir() / file) for name, file in KEY_FILES.items()):
        if not os.environ.get(name) and os.access(file, os.R_OK):
            os.environ[name] = file.read_text(encoding="ascii").strip()


def _new_keys() -> dict[str, str]:
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()  # as Fernet.generate_key() makes it
    return {"SECRET_KEY": secrets.token_urlsafe(50), "FIELD_ENCRYPTION_KEYS": key}


def _kept_keys(folder: Path) -> dict[str, str]:
    """The keys of this folder, created when missing. Raises NotPossible if the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Tries to write instead of checking permissions, which do not show that a file system is mounted read-only.
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name, key in _new_keys().items():
            if not (folder / KEY_FILES[name]).exists():
                keep_private(folder / KEY_FILES[name], f"{key}\n")
        # The environment comes first, as it does for the other commands.
        return {
            name: os.environ.get(name) or (folder / file).read_text(encoding="ascii").strip()
            for name, file in KEY_FILES.items()
        }
    except OSError as error:
        raise NotPossible(
            f"{folder} cannot be written to ({error.strerror}). Set VAR_DIR to a folder of your own."
        ) from error


def keep_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read. The file is replaced atomically."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        output.write(text)
    draft.replace(file)
