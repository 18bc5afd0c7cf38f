"""Operations in a browser, on the real system: sound in every form, and live through a sidecar's death."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.journeys.test_pages import PATIENCE, SIZES
from tests.support.browser import open_browser, open_page, violations
from tests.support.shop import Customer, Shop
from tests.support.system import RealSystem
from tests.support.variants import ONE

pytestmark = [pytest.mark.system, ONE]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Open a browser."""
    async with open_browser() as opened:
        yield opened


def address(system: RealSystem, service: str) -> str:
    """Return the address of a service."""
    return f"http://127.0.0.1:{system.instances[service]['appPort']}"


@pytest.mark.parametrize("service", ["order", "notification"])
async def test_axe_finds_nothing_and_nothing_is_cut_off_in_light_and_dark(
    shop: Shop, customer: Customer, system: RealSystem, browser: Browser, service: str
) -> None:
    await customer.sees(await shop.orders("Jane Doe"), "SENT")

    for width, height in SIZES.values():
        for scheme in ("light", "dark"):
            size = {"width": width, "height": height}
            base = address(system, service)
            async with open_page(
                browser, base, color_scheme=scheme, viewport=size
            ) as page:
                await page.goto("/operations")
                await expect(page.locator("#live")).to_contain_text("Live:")
                assert await violations(page) == []
                cut = await page.evaluate(
                    "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                )
                assert not cut, f"{width} {scheme}"


async def test_a_subscription_is_alive_once_it_delivered_and_a_sidecar_that_dies_is_named(
    shop: Shop, customer: Customer, system: RealSystem, browser: Browser
) -> None:
    async with open_page(browser, address(system, "notification")) as page:
        await page.goto("/operations")
        await customer.sees(await shop.orders("Jane Doe"), "SENT")
        row = page.get_by_role("row").filter(has_text="OrderCreated").first
        await expect(row).to_contain_text("alive", timeout=PATIENCE)

        system.sidecars["notification"].kill_for_good()
        wrong = page.get_by_label("What is wrong")
        await expect(wrong).to_contain_text("The sidecar:", timeout=PATIENCE)
        await expect(wrong).to_contain_text("Restart the sidecar")
        await expect(page.get_by_text("not ready")).to_be_visible()

        system.sidecars["notification"].start()
        await expect(wrong).not_to_contain_text("The sidecar", timeout=PATIENCE)
    await system.is_ready()
