"""Measures the bytes of a page on the network: compressed, with its style sheets, scripts and font."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

from playwright.sync_api import CDPSession, Page

STATIC = "/static/"


class Scales:
    """Counts the encoded bytes of headers and bodies. A response from the cache weighs nothing on the network.

    Pages share their style sheets, scripts and font. What is in the cache was weighed when it came, so that a page
    need not be opened with an empty cache to know what its first visit weighs.
    """

    _whole: ClassVar[dict[str, int]] = {}  # the weight of each address when all of it came from the network

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._addresses: dict[str, str] = {}
        self._weights: dict[str, float] = {}
        self._unaltered: set[str] = set()
        self._session.on("Network.requestWillBeSent", self._begin)
        self._session.on("Network.responseReceived", self._answer)
        self._session.on("Network.loadingFinished", self._end)

    def weigh(self, open_page: Callable[[], None]) -> tuple[dict[str, int], dict[str, int]]:
        """The bytes of each address at a first visit, and those at the next one. Opens the page one to three times."""
        latest = self._opened(open_page)
        if any(not weight and address not in self._whole for address, weight in latest.items()):
            self._session.send("Network.clearBrowserCache")
            latest = self._opened(open_page)
        first = {address: weight or self._whole[address] for address, weight in latest.items()}
        if any(weight and STATIC in address for address, weight in latest.items()):
            latest = self._opened(open_page)
        return first, {address: weight for address, weight in latest.items() if weight}

    def close(self) -> None:
        self._session.detach()

    def _opened(self, open_page: Callable[[], None]) -> Counter[str]:
        self._weights = {}
        open_page()
        found: Counter[str] = Counter()
        for request, weight in self._weights.items():
            address = self._addresses[request]
            found[address] += int(weight)
            if weight and request not in self._unaltered:
                self._whole[address] = int(weight)
        return found

    def _begin(self, event: dict) -> None:
        if event["request"]["url"].startswith("http"):
            self._addresses[event["requestId"]] = event["request"]["url"]

    def _answer(self, event: dict) -> None:
        if event["response"]["status"] == HTTPStatus.NOT_MODIFIED:
            self._unaltered.add(event["requestId"])

    def _end(self, event: dict) -> None:
        # A request of the previous page may end now. It does not belong to this page.
        if event["requestId"] in self._addresses:
            self._weights[event["requestId"]] = event["encodedDataLength"]
