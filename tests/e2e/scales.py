"""How many bytes a page costs on the wire, as it is served: compressed, with its style sheets, scripts and font."""

from __future__ import annotations

from playwright.sync_api import CDPSession, Page


class Scales:
    """Adds up what comes over the wire: headers and bodies, as they are encoded. What is cached weighs nothing."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._addresses: dict[str, str] = {}
        self._weights: dict[str, float] = {}
        self._session.on("Network.requestWillBeSent", self._begin)
        self._session.on("Network.loadingFinished", self._end)

    def empty_cache(self) -> None:
        """What is loaded next is loaded as by somebody who has never been here."""
        self._session.send("Network.clearBrowserCache")

    def read(self) -> dict[str, int]:
        """What each part weighed that came since the last reading, the heaviest first."""
        found = sorted(self._weights.items(), key=lambda item: -item[1])
        self._weights = {}
        return {self._addresses[name]: int(weight) for name, weight in found if weight}

    def _begin(self, event: dict) -> None:
        self._addresses[event["requestId"]] = event["request"]["url"].rpartition("/")[2] or event["request"]["url"]

    def _end(self, event: dict) -> None:
        # What the page before had asked for may end now, and is none of this one's.
        if event["requestId"] in self._addresses:
            self._weights[event["requestId"]] = event["encodedDataLength"]

    def close(self) -> None:
        self._session.detach()
