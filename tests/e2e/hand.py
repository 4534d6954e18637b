"""Counts the clicks and keys that a job takes."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page


class Hand:
    """Clicks and keys on a page, counted. Text that is typed does not count."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def press(self, key: str) -> None:
        self.count += 1
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def click(self, what: Locator, **options: Any) -> None:
        self.count += 1
        what.click(**options)
