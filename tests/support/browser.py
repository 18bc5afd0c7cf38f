"""A browser for the tests of pages: Debian's Chromium, driven by Playwright; it asks nobody but the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from toolchain.machine import chromium, this_machine

WCAG_2_2_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""The rules of axe that a page is held to, with those that it calls best practices."""


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Open the browser; where there is none, the test fails."""
    program = chromium.browser(this_machine())
    if program is None:
        pytest.fail("there is no chromium on this machine: make ready FOR=--for-tests")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        try:
            yield opened
        finally:
            await opened.close()


@asynccontextmanager
async def open_page(browser: Browser, base: str, **context: Any) -> AsyncIterator[Page]:  # noqa: ANN401 - Playwright's own
    """Open a page of a service, and check at the end that it asked nobody else and reported no error."""
    opened = await browser.new_context(base_url=base, **context)
    page = await opened.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if _matters(said) else None)
    try:
        yield page
    finally:
        await opened.close()
    assert {urlsplit(each).netloc for each in asked} == {urlsplit(base).netloc}
    assert wrong == [], wrong


def _matters(said: ConsoleMessage) -> bool:
    # A form that is refused, and a service that is gone for a while, are part of the tests.
    expected = ("Failed to load resource", "htmx: htmx:sse:error: Failed to fetch")
    return said.type == "error" and not said.text.startswith(expected)


async def violations(page: Page) -> list[str]:
    """Return what axe finds wrong with a page, by the rules above and those that it calls best practices."""
    found = await Axe().run(
        page,
        options={"runOnly": {"type": "tag", "values": [*WCAG_2_2_AA, "best-practice"]}},
    )
    return [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found.response["violations"]
    ]
