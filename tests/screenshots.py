"""Makes docs/screenshots/: each main page, light and dark, 1280 and 375 px wide. `make screenshots` runs it.

Starts the product with its demo data in a temporary folder, always on the same date, and opens the pages as a person
would. The files are named <page>-<light|dark>-<width>.png.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from .exchange import ROOT
from .processes import Process, free_port, start, until

FOLDER = ROOT / "docs" / "screenshots"
THEMES = ("light", "dark")
# The height of the screen for each width. A picture shows the whole page, up to TALLEST pixels.
SCREENS = {1280: 800, 375: 760}
TALLEST = 1600
LARGEST = 300_000
# A Wednesday morning. It is in the future, so that no session has expired for the browser's clock.
MOMENT = datetime(2031, 3, 12, 9, 41, tzinfo=UTC)
READY = "Ctrl-C stops everything."
OURS = ("SECRET_KEY", "DEBUG", "DATABASE_URL", "CELERY_BROKER_URL", "MEDIA_ROOT", "OUTGOING_ALLOWED_NETWORKS", "PORT")
_CHOOSE = """
import json
from pathlib import Path
from changes.models import Change, SupportGroup
from integrations.connections import revisions, secrets
from integrations.models import ExternalGroup, ExternalSystem, OutgoingOperation
from integrations.setup import configuration

# Two systems of one partner, whose Request Tracker is connected, and about to be.
document = Path("integrations/presets/request-tracker.yaml").read_text()
configuration.load(json.dumps({
    "external_systems": [
        {"system_id": name, "authorized_user": name.lower(), "delivery": "mapped"} for name in ("OMEGA", "SIGMA")
    ],
    "groups": [{"name": "SIGMA Facilities", "external_system": "SIGMA"}],
}), {})
sigma = ExternalSystem.objects.get(system_id="SIGMA")
secrets.write(sigma, {"RT_TOKEN": "1-14-0123456789abcdef"})
revisions.activate(sigma, document, None, "As agreed with SIGMA")

held = Change.objects.filter(phase="Deploy", owning_group__external_group__system__system_id="ACME")
refused = OutgoingOperation.objects.filter(status="Refused").first()
group = SupportGroup.objects.filter(external_group__system__system_id="BETA").first()
print(json.dumps({
    "change": held.exclude(comments=None).latest("id").number,
    "edited": Change.objects.filter(phase="Plan", owning_group__external_group=None).latest("id").number,
    "approve": Change.objects.filter(phase="ApprovePlan").latest("id").number,
    "stuck": refused.change.number,
    "operation": str(refused.pk),
    "group": group.name,
}))
"""


@dataclass(frozen=True)
class Shot:
    """One page: the person who opens it, and the actions before the picture is taken."""

    name: str
    address: str
    person: str | None = "carol"
    act: Callable[[Page, dict[str, str]], None] | None = None


def _give_to_a_partner(page: Page, keys: dict[str, str]) -> None:
    page.get_by_label("Owning group").select_option(keys["group"])
    page.get_by_label("Risk").focus()
    expect(page.get_by_text("Assign").first).to_be_visible()


def _save_a_faulty_document(page: Page, keys: dict[str, str]) -> None:
    document = page.locator("#id_document")
    document.fill(document.input_value().replace("Subject:", "Subjekt:").replace("change.title", "change.titel|uper"))
    page.get_by_role("button", name="Save the draft").click()
    expect(page.locator(".fault").first).to_be_visible()


def _discard_the_draft(page: Page, keys: dict[str, str]) -> None:
    address = page.url
    page.goto("/exchange/systems/SIGMA/connection/")
    if (discard := page.get_by_role("button", name="Discard the draft")).count():
        discard.click()
    page.goto(address)


_TRY = "/exchange/systems/SIGMA/connection/try/?change={change}&operation=Assign"
SHOTS = (
    Shot("sign-in", "/accounts/login/", person=None),
    Shot("desk", "/"),
    Shot("changes", "/changes/?open=true"),
    Shot("new-change", "/changes/new/"),
    Shot("change", "/changes/{change}/"),
    Shot("change-stuck", "/changes/{stuck}/", person="ingrid"),
    Shot("change-to-approve", "/changes/{approve}/"),
    Shot("edit", "/changes/{edited}/edit/", act=_give_to_a_partner),
    Shot("calendar", "/calendar/"),
    Shot("calendar-month", "/calendar/?view=month"),
    Shot("exchange", "/exchange/", person="ingrid"),
    Shot("operation", "/exchange/{operation}/", person="ingrid"),
    Shot("status", "/exchange/status/", person="ingrid"),
    Shot("connection-begin", "/exchange/systems/OMEGA/connection/", person="ingrid"),
    Shot("connection-faults", "/exchange/systems/SIGMA/connection/", person="ingrid", act=_save_a_faulty_document),
    Shot("connection-try", _TRY, person="ingrid", act=_discard_the_draft),
    Shot("workflow", "/workflow/"),
    Shot("not-found", "/changes/CHG9999999/"),
    Shot("admin", "/admin/", person="admin"),
    Shot("admin-systems", "/admin/integrations/externalsystem/", person="admin"),
)


class Product:
    """The demo as started by `make run`, with separate ports and data."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        self._environment = {**kept, "VAR_DIR": str(folder), "TIME_ZONE": "UTC"}
        ports = ["--port", self.url.rpartition(":")[2], "--simulator-port", str(free_port())]
        # A relative offset in seconds: with an absolute time the clock would start again in each process.
        ahead = int((MOMENT - datetime.now(UTC)).total_seconds())
        command = ["faketime", "-f", f"{ahead:+d}s", sys.executable, "manage.py", "serve", *ports]
        self._process: Process = start(
            command, log=folder.with_suffix(".log"), environment=self._environment, cwd=ROOT, signal_to_stop="SIGINT"
        )
        until("the product runs", self._is_ready, 300)
        self.passwords: dict[str, str] = json.loads((folder / "installation.json").read_text())["passwords"]
        self.keys = {**json.loads(self._shell(_CHOOSE))}

    def stop(self) -> None:
        self._process.stop(30)

    def sign_in(self, context: BrowserContext, person: str) -> None:
        page = context.new_page()
        page.goto("/accounts/login/")
        page.get_by_label("Username").fill(person)
        page.get_by_label("Password").fill(self.passwords[person])
        page.locator("button[type=submit]").click()
        page.wait_for_url(self.url + "/")
        page.close()

    def _is_ready(self) -> bool:
        self._process.check_running()
        return self._process.has_printed(READY)

    def _shell(self, code: str) -> str:
        command = [sys.executable, "manage.py", "shell", "--verbosity=0", "--command", code]
        return subprocess.run(
            command, cwd=ROOT, env=self._environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout


@contextmanager
def _product() -> Iterator[Product]:
    folder = Path(tempfile.mkdtemp(prefix="casexchange-screenshots-"))
    try:
        product = Product(folder / "var")
        try:
            yield product
        finally:
            product.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def _browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("casexchange: chromium is missing: `make screenshots` installs it.")
    switches = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield browser
        browser.close()


def _take(page: Page, shot: Shot, product: Product, file: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": SCREENS[width]})
    page.goto(shot.address.format(**product.keys))
    if shot.act:
        shot.act(page, product.keys)
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0); document.fonts.ready")
    height = min(TALLEST, max(SCREENS[width], page.evaluate("document.documentElement.scrollHeight")))
    # Sets the height of the screen, so that sticky parts are at the lower edge of the picture.
    page.set_viewport_size({"width": width, "height": height})
    page.screenshot(path=file, animations="disabled")
    # 256 colours are enough for a page, and reduce the file to a third.
    subprocess.run(["pngquant", "--force", "--strip", "--speed", "1", "--output", file, "256", file], check=True)
    if (size := file.stat().st_size) > LARGEST:
        sys.exit(f"casexchange: {file.name} has {size:,} bytes, more than {LARGEST:,}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[shot.name for shot in SHOTS], help="these pages alone")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to (default: docs/screenshots)")
    options = parser.parse_args()
    chosen = [shot for shot in SHOTS if not options.only or shot.name in options.only]
    options.folder.mkdir(parents=True, exist_ok=True)
    with _product() as product, _browser() as browser:
        for theme in THEMES:
            for person in dict.fromkeys(shot.person for shot in chosen):
                context = browser.new_context(
                    base_url=product.url, color_scheme=theme, locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
                )
                if person:
                    product.sign_in(context, person)
                page = context.new_page()
                for shot in (shot for shot in chosen if shot.person == person):
                    for width in SCREENS:
                        _take(page, shot, product, options.folder / f"{shot.name}-{theme}-{width}.png", width)
                context.close()


if __name__ == "__main__":
    main()
