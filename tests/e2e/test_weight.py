"""How many bytes a page costs on the wire, as it is served: compressed, with its style sheets, scripts and font."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, CDPSession, Page

from .conftest import ServedPages
from .pages_to_look_at import LOOKS

pytestmark = [pytest.mark.xdist_group("pages-1"), pytest.mark.any_database]

FIRST = 100 * 1024
SECOND = 20 * 1024
# What is done on a page is no part of its weight; error pages bring nothing of their own.
WEIGHED = [look for look in LOOKS if look.act is None and look.status == 200]


class Scales:
    """Adds up what comes over the wire: headers and bodies, as they are encoded. What is cached weighs nothing."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._addresses: dict[str, str] = {}
        self._weights: dict[str, float] = {}
        self._session.on("Network.requestWillBeSent", self._begin)
        self._session.on("Network.loadingFinished", self._end)

    def load(self, address: str) -> dict[str, int]:
        """Loads the page, and says what each part of it weighed, the heaviest first."""
        self._weights.clear()
        self._page.goto(address, wait_until="load")
        self._page.evaluate("document.fonts.ready")
        found = sorted(self._weights.items(), key=lambda item: -item[1])
        return {self._addresses[name]: int(weight) for name, weight in found if weight}

    def _begin(self, event: dict) -> None:
        self._addresses[event["requestId"]] = event["request"]["url"].rpartition("/")[2] or event["request"]["url"]

    def _end(self, event: dict) -> None:
        self._weights[event["requestId"]] = event["encodedDataLength"]


@pytest.mark.parametrize("look", WEIGHED, ids=lambda look: look.name)
def test_a_page_is_light_and_lighter_the_second_time(served: ServedPages, browser: Browser, look) -> None:
    context = served.context(browser, look.person, viewport={"width": 1280, "height": 800})
    try:
        scales = Scales(context.new_page())
        address = look.address.format(**served.keys)
        first, second = scales.load(address), scales.load(address)
    finally:
        context.close()
    assert sum(first.values()) > 0
    assert sum(first.values()) <= FIRST, first
    assert 0 < sum(second.values()) <= SECOND, second
