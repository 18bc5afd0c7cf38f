"""The pages of both services under one host, in a browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import open_browser, open_page, violations
from tests.support.door import Door

pytestmark = pytest.mark.system

PATIENCE = 60_000
"""Milliseconds."""
TRUSTED: dict[str, Any] = {"ignore_https_errors": True}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Open a browser."""
    async with open_browser() as opened:
        yield opened


async def test_an_order_is_placed_and_seen_live_and_each_page_leads_to_the_next(
    door: Door, browser: Browser
) -> None:
    async with open_page(browser, door.url, **TRUSTED) as page:
        await page.goto("/")
        await expect(page.locator("#live")).to_contain_text("Live", timeout=PATIENCE)
        await page.get_by_label("Customer").fill("Ada Lovelace")
        await page.get_by_role("button", name="Place the order").click()
        await expect(page.get_by_text("is accepted")).to_be_visible(timeout=PATIENCE)
        row = page.get_by_role("row").filter(has_text="Ada Lovelace").first
        await expect(row).to_be_visible(timeout=PATIENCE)
        await row.get_by_role("link").first.click()
        await expect(page.locator("#live")).to_contain_text("Live", timeout=PATIENCE)
        for name in ("Operations", "Dead letters", "Orders"):
            await page.get_by_role("navigation").get_by_role("link", name=name).click()
            await expect(page.locator("h1")).to_be_visible()
            assert await page.locator("header .service").inner_text() == "Order service"
        # The API's description is not public, and no page leads to it.
        await expect(page.get_by_role("link", name="API")).to_have_count(0)
        await page.goto("/notifications/")
        for name in ("Operations", "Dead letters", "Notifications"):
            await page.get_by_role("navigation").get_by_role("link", name=name).click()
            assert page.url.startswith(f"{door.url}/notifications/")
            await expect(page.locator("h1")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong_with_a_page_of_the_gateways_own(
    scheme: str, door: Door, browser: Browser
) -> None:
    size = {"width": 390, "height": 844}
    look = {"color_scheme": scheme, "viewport": size, **TRUSTED}
    async with open_page(browser, door.url, **look) as page:
        await page.goto("/nothing-is-here")

        await expect(page.get_by_text("There is nothing public")).to_be_visible()
        assert await violations(page) == []
        await page.get_by_role("link", name="Go to the order desk").click()
        await expect(page.get_by_label("Customer")).to_be_visible()
