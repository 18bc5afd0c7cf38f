"""The pages as people use them, in a browser, on the real system: by keyboard, without script, light and dark."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.order.test_desk import HOSTILE
from tests.support.browser import open_browser, open_page, violations
from tests.support.shop import Customer, Order, Shop
from tests.support.system import RealSystem
from tests.support.variants import ONE

pytestmark = [pytest.mark.system, ONE]

PATIENCE = 60_000
"""Milliseconds."""
SIZES = {"wide": (1280, 800), "phone": (390, 844)}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Open a browser."""
    async with open_browser() as opened:
        yield opened


def desk(system: RealSystem) -> str:
    """Return the address of the order desk."""
    return f"http://127.0.0.1:{system.instances['order']['appPort']}/"


async def presses(page: Page, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        await page.keyboard.press(key)


async def test_an_order_is_placed_and_watched_by_keyboard_alone(
    shop: Shop, system: RealSystem, browser: Browser
) -> None:
    async with open_page(browser, desk(system)) as page:
        await page.goto("/")
        await presses(page, "Tab")
        await expect(page.get_by_text("Skip to the content")).to_be_focused()
        await presses(page, "Enter", "Tab")
        await expect(page.get_by_label("Customer")).to_be_focused()
        await presses(page, "Enter")
        await expect(page.get_by_text("Field required")).to_be_visible()
        await expect(page.get_by_label("Customer")).to_be_focused()
        await page.keyboard.type("Ada Lovelace")
        await presses(page, "Enter")
        await expect(page.get_by_text("is accepted")).to_be_visible()
        row = page.get_by_role("row").filter(has_text="Ada Lovelace").first
        await expect(row).to_contain_text("shown 5/5", timeout=PATIENCE)
        await expect(page.locator("#live")).to_contain_text("Live")
        link = page.get_by_role("status").get_by_role("link")
        while not await link.evaluate("it => it === document.activeElement"):
            await presses(page, "Tab")
        await presses(page, "Enter")
        await expect(page.get_by_text("It is done")).to_be_visible()


async def test_a_stuck_order_says_why_and_arrives_before_ones_eyes_when_the_part_is_back(
    shop: Shop, system: RealSystem, browser: Browser
) -> None:
    app = system.apps["notification"]
    app.kill_for_good()
    order = await shop.orders("Jane Doe")
    async with open_page(browser, desk(system)) as page:
        await page.goto(f"/orders/{order.id}")
        await expect(page.get_by_text("It waits for the")).to_be_visible(
            timeout=PATIENCE
        )
        await expect(page.get_by_text("What to do: start the")).to_be_visible()
        app.start()
        await expect(page.get_by_text("It is done")).to_be_visible(timeout=PATIENCE)
    await system.is_ready()


async def test_a_page_says_that_its_service_is_gone_and_goes_on_when_it_is_back(
    shop: Shop, system: RealSystem, browser: Browser
) -> None:
    async with open_page(browser, desk(system)) as page:
        await page.goto("/")
        await expect(page.locator("#live")).to_contain_text("Live:")
        await asyncio.to_thread(system.apps["order"].stop)
        await expect(page.locator("#live")).to_contain_text(
            "Not live", timeout=PATIENCE
        )
        system.apps["order"].start()
        await expect(page.locator("#live")).to_contain_text("Live:", timeout=PATIENCE)
        order = await shop.orders("Grace Hopper")
        await expect(page.locator(f"#order-{order.id}")).to_be_visible()
    await system.is_ready()


async def test_axe_finds_nothing_and_nothing_is_cut_off_in_light_and_dark(
    shop: Shop, customer: Customer, system: RealSystem, browser: Browser
) -> None:
    placed = [await shop.orders(name) for name in HOSTILE]
    await customer.sees(placed[-1], "SENT")
    pages = ["/", "/?find=nobody", "/?state=x", f"/orders/{placed[3].id}"]
    pages += [f"/orders/{placed[5].id}", "/orders/01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"]

    port = system.instances["notification"]["appPort"]
    others = ["/", "/?state=HELD"]
    for width, height in SIZES.values():
        for scheme in ("light", "dark"):
            look = {
                "color_scheme": scheme,
                "viewport": {"width": width, "height": height},
            }
            await _is_sound(browser, desk(system), pages, **look)
            await _is_sound(browser, f"http://127.0.0.1:{port}/", others, **look)


async def _is_sound(
    browser: Browser, base: str, pages: list[str], **context: object
) -> None:
    async with open_page(browser, base, **context) as page:
        for path in pages:
            await page.goto(path)
            assert await violations(page) == [], f"{path} {context}"
            cut = await page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
            assert not cut, f"{path} {context}"
            stretched = await page.evaluate(
                "[...document.querySelectorAll('td .badge')].some(it => it.offsetWidth > 160)"
            )
            assert not stretched, f"{path} {context}"


async def test_everything_is_there_without_script(
    shop: Shop, customer: Customer, system: RealSystem, browser: Browser
) -> None:
    async with open_page(browser, desk(system), java_script_enabled=False) as page:
        await page.goto("/")
        await page.get_by_label("Customer").fill("Jane Doe")
        await page.get_by_role("button", name="Place the order").click()
        link = page.get_by_role("status").get_by_role("link")
        order_id = await link.inner_text()
        await customer.sees(Order(order_id, "Jane Doe"), "SENT")
        await link.click()

        await expect(page.get_by_text("It is done")).to_be_visible()
        await expect(page.get_by_text("Reload this page")).to_be_visible()
        await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
