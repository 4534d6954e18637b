"""The process from which warm.py forks others: `python -m tests.warm_process SOCKET`."""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import mmap
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

_PR_SET_PDEATHSIG = 1
# The libraries that take long to import, and need no settings.
_LIBRARIES = (
    "aiohttp",
    "celery.app",
    "celery.app.task",
    "cryptography.fernet",
    "cryptography.hazmat.primitives.serialization",
    "django.core.management",
    "django.db.models",
    "django.forms",
    "django.template",
    "django.test.client",
    "django.views.generic",
    "django_filters",
    "fido2.server",
    "jsonschema",
    "kombu.transport.redis",
    "markdown_it",
    "minijinja",
    "psycopg",
    "pygments.formatters",
    "pygments.lexers",
    "redis",
    "requests",
    "yaml",
)


def main() -> list[str]:
    for library in _LIBRARIES:
        importlib.import_module(library)
    gc.freeze()
    listener = _listen(sys.argv[1])
    print("ready", flush=True)
    return serve(listener, sys.stdin)


def serve(listener: socket.socket, *ends: TextIO) -> list[str]:
    """Answers each connection in a child. Returns in a child that is to run a command, with its arguments.

    `ends`: when one of these files is at its end, this process ends.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    while True:
        ready, _, _ = select.select([listener, *ends], [], [])
        if listener not in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if not os.fork():
            break
        connection.close()
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()
    data, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    asked = json.loads(data)
    return _run(connection, streams, **asked) if streams else _wait_in(connection, **asked)


def _run(
    connection: socket.socket, streams: Sequence[int], arguments: list[str], environment: dict[str, str] | None = None
) -> list[str]:
    """Says the process id and the exit code of the command."""
    pid = os.fork()
    if not pid:
        _die_with_parent()
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        if environment is not None:
            _use(environment)
        return arguments
    _say(connection, pid)
    _say(connection, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _wait_in(connection: socket.socket, environment: dict[str, str], address: str) -> list[str]:
    """Imports all with this environment, and waits for commands that need it. Says its process id, or 0."""
    _use(environment)
    try:
        _import_all()
    except BaseException:
        _say(connection, 0)  # the command itself shall tell what is wrong
        os._exit(1)
    gc.freeze()
    listener = _listen(address)
    _say(connection, os.getpid())
    connection.close()
    return serve(listener)


def _use(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if "SSL_CERT_FILE" in environment:  # aiohttp reads it when it is imported
        for name in [name for name in sys.modules if name.partition(".")[0] == "aiohttp"]:
            del sys.modules[name]


def _import_all() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    import django
    from django.conf import settings
    from django.db import connections

    gc.disable()  # what is imported stays
    django.setup()
    importlib.import_module(settings.ROOT_URLCONF)
    gc.enable()
    connections.close_all()
    assert threading.active_count() == 1, "a fork would lose a thread"


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    return listener


def _say(connection: socket.socket, number: int) -> None:
    connection.sendall(f"{number}\n".encode())


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _be(arguments: list[str]) -> None:
    """Does what `python manage.py` does with these arguments; or, if they begin with `-m`, what `python` does."""
    if shutdown := sys.modules.get("integrations.workers.shutdown"):
        shutdown._flag = mmap.mmap(-1, 1)  # not that of the process which forked it, and all others
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["manage.py", *arguments]
        importlib.import_module("manage").main()


if __name__ == "__main__":
    _be(main())
