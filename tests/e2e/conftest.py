"""A real web server with data for every page. All browser tests of a run share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests import services, warm
from tests.exchange import ROOT
from tests.processes import Process, free_port, until


class ServedPages:
    """A real web server with collected static files. `context()` opens a browser context with a signed-in user."""

    def __init__(self, folder: Path, database_url: str) -> None:
        (folder / "static").mkdir(parents=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._environment = {
            "DEBUG": "0",
            "VAR_DIR": str(folder),
            "MEDIA_ROOT": str(folder / "media"),
            "BASE_URL": self.url,
            "DATABASE_URL": database_url,
            "EMAIL_URL": "consolemail://",
        }
        made = json.loads(self._fill())
        self.keys: dict[str, str] = made["keys"]
        self._sessions: dict[str, str] = made["sessions"]
        self._process = self._start()

    def context(self, browser: Browser, person: str | None, **options: Any) -> BrowserContext:
        """`person` is a user name of everything.py, or None without a sign-in."""
        context = browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(30_000)
        if person:
            cookie = {"name": "sessionid", "value": self._sessions[person], "url": self.url, "httpOnly": True}
            context.add_cookies([cookie])  # type: ignore[list-item]
        return context

    def stop(self) -> None:
        self._process.stop()

    def _fill(self) -> str:
        command = [sys.executable, "-m", "tests.e2e.everything"]
        environment = {**os.environ, **self._environment}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def _start(self) -> Process:
        import requests

        options = ["--interface", "asginl", "--no-ws", "--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]]
        command = ["-m", "granian", *options, "casexchange.asgi:application"]
        process = warm.start(command, {**os.environ, **self._environment}, self._folder / "web.log", is_once=True)

        def answers() -> bool:
            process.check_running()
            try:
                return requests.get(f"{self.url}/accounts/login/", timeout=30).ok
            except requests.ConnectionError:
                return False

        until("the web server answers", answers)
        return process


@pytest.fixture(scope="session")
def served(new_database: Callable[[str], str]) -> Iterator[ServedPages]:
    """A server on a separate database of the run's kind. Each worker starts it on first use."""
    name = f"pages_{services.worker_number()}"
    pages = ServedPages(services.run_dir() / name, new_database(name))
    yield pages
    pages.stop()


@pytest.fixture(scope="session")
def looking(served: ServedPages, browser: Browser) -> Iterator[Callable[..., Page]]:
    """`looking("alice")` is a page of that person, shared by all tests of a run. Other `options` give another page."""
    pages: dict[str, Page] = {}

    def page(person: str | None, **options: Any) -> Page:
        name = repr((person, sorted(options.items())))
        if name not in pages:
            pages[name] = served.context(browser, person, **options).new_page()
        return pages[name]

    yield page
    for opened in pages.values():
        opened.context.close()
