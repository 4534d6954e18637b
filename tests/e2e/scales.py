"""Measures the bytes of a page on the network: compressed, with its style sheets, scripts and font."""

from __future__ import annotations

from playwright.sync_api import CDPSession, Page


class Scales:
    """Counts the encoded bytes of headers and bodies. Responses from the cache count nothing."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._addresses: dict[str, str] = {}
        self._weights: dict[str, float] = {}
        self._session.on("Network.requestWillBeSent", self._begin)
        self._session.on("Network.loadingFinished", self._end)

    def empty_cache(self) -> None:
        """Empties the cache, so that the next load counts as a first visit."""
        self._session.send("Network.clearBrowserCache")

    def read(self) -> dict[str, int]:
        """The bytes of each response since the last reading, the largest first."""
        found = sorted(self._weights.items(), key=lambda item: -item[1])
        self._weights = {}
        return {self._addresses[name]: int(weight) for name, weight in found if weight}

    def _begin(self, event: dict) -> None:
        self._addresses[event["requestId"]] = event["request"]["url"].rpartition("/")[2] or event["request"]["url"]

    def _end(self, event: dict) -> None:
        # A request of the previous page may end now. It does not belong to this page.
        if event["requestId"] in self._addresses:
            self._weights[event["requestId"]] = event["encodedDataLength"]

    def close(self) -> None:
        self._session.detach()
