"""The pages of dead letters in a browser, on the real system: one is seen, edited, run dry, replayed, notified."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.test_dead_letters import letters, tried_thrice
from tests.order.test_desk import HOSTILE
from tests.support.browser import open_browser, open_page, violations
from tests.support.delivering import order_created, signed
from tests.support.eventually import eventually
from tests.support.losses import published_raw
from tests.support.shop import Shop
from tests.support.system import RealSystem
from tests.support.variants import ONE

pytestmark = [pytest.mark.system, ONE]

PATIENCE = 30_000
"""Milliseconds."""


@pytest.fixture
async def page(system: RealSystem) -> AsyncIterator[Page]:
    """Open a page of the notification service."""
    async with open_browser() as browser, open_page(browser, base(system)) as opened:
        yield opened


def base(system: RealSystem) -> str:
    """Return the address of the notification service's pages."""
    return f"http://127.0.0.1:{system.instances['notification']['appPort']}/"


async def arrives(shop: Shop, **data: Any) -> tuple[str, int]:  # noqa: ANN401 - any data
    """Publish an authentic event that the contract does not accept; return its order and its dead letter."""

    async def attempt() -> tuple[str, int]:
        made = order_created()
        event = signed({**made, "data": {**made["data"], **data}})
        await published_raw(shop, json.dumps(event).encode())
        order = str(made["subject"])

        async def kept() -> int | None:
            found = [
                each["id"] for each in await letters(shop) if order in each["body"]
            ]
            return int(found[0]) if found else None

        return order, await eventually(kept, "it is a dead letter", deadline=20)

    return await tried_thrice(shop, attempt)


async def state_of(shop: Shop, system: RealSystem, order: str) -> str:
    """Return what became of an order's notification."""
    answer = await shop.http.get(f"{base(system)}api/notification/{order}")
    return str(answer.json().get("state"))


async def test_a_dead_letter_is_seen_edited_run_dry_replayed_and_its_order_is_notified(
    shop: Shop, system: RealSystem, page: Page
) -> None:
    order, letter = await arrives(shop, customerName="")
    await page.goto("/")
    await page.get_by_role("link", name="Dead letters").click()
    reason = "it is no valid OrderCreated (customerName: String should have at least"
    await page.get_by_role("link", name=reason).click()
    await page.get_by_role("link", name=f"Letter {letter}", exact=True).click()

    await presses(page, "Dry run", "It would fail: it is no valid")
    await is_edited(page)
    await presses(page, "Dry run", "It would be handled.")
    assert await state_of(shop, system, order) == "None"
    await page.locator("#replay-by").fill("Jane Doe")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="What to do")).to_have_count(0)
    await expect(page.get_by_role("row").filter(has_text="REPLAYED")).to_contain_text(
        "Jane Doe"
    )

    async def notified() -> bool:
        return await state_of(shop, system, order) == "SENT"

    await eventually(notified, "its customer is notified", deadline=30)


async def presses(page: Page, button: str, then: str) -> None:
    """Press a button by keyboard, and see this text."""
    await page.get_by_role("button", name=button).press("Enter")
    await expect(page.get_by_text(then)).to_be_visible()


async def is_edited(page: Page) -> None:
    """Edit the name of the customer, after a slip."""
    await page.get_by_text("Edit", exact=True).press("Enter")
    data = page.get_by_label("Data, as JSON")
    text = await data.input_value()
    await page.locator("#edit-by").fill("Jane Doe")
    await page.locator("#edit-reason").fill("The name was empty")
    nameless, keep = '"customerName": ""', "Keep the edit"
    await data.fill(text.replace(nameless, '"custmerName": "Ada"'))
    await presses(page, keep, "data.custmerName: The contract has no such field")
    await data.fill(text.replace(nameless, '"customerName": "Ada"'))
    await presses(page, keep, "Data that it is replayed with")


async def test_a_canary_is_watched_live_and_halts_before_ones_eyes(
    shop: Shop, page: Page
) -> None:
    await arrives(shop, createdAt="never")
    await page.goto("/dead-letters")
    await page.get_by_role(
        "link", name="it is no valid OrderCreated (createdAt"
    ).click()
    await page.get_by_label("Your name").fill("Jane Doe")
    await page.get_by_label("Why").fill("To see it halt")
    await page.get_by_label("Letters a second").fill("0.5")
    await page.get_by_role("button", name="Canary replay").press("Enter")

    await expect(page.get_by_text("Nothing was replayed.")).to_be_visible(
        timeout=PATIENCE
    )
    await expect(page.get_by_text("would fail: it is no valid").first).to_be_visible()
    await expect(page.locator("#live")).to_contain_text("Live")


async def test_the_workbench_works_without_script(
    shop: Shop, system: RealSystem
) -> None:
    order, letter = await arrives(shop, customerName="x" * 201)
    _, other = await arrives(shop, customerName="x" * 202)
    async with (
        open_browser() as browser,
        open_page(browser, base(system), java_script_enabled=False) as page,
    ):
        await page.goto("/dead-letters")
        await page.get_by_role("link", name="String should have at most").click()
        group = page.url
        await signs(page, "Dry run of all", "by", "reason")
        await is_at(page, page.url, "DONE")

        await page.goto(group)
        await page.get_by_role("link", name=f"Letter {letter}", exact=True).click()
        await signs(page, "Dry run")
        await expect(page.get_by_text("It would fail: it is no valid")).to_be_visible()
        await page.get_by_text("Edit", exact=True).click()
        data = page.get_by_label("Data, as JSON")
        await data.fill((await data.input_value()).replace("x" * 201, "Ada"))
        await signs(page, "Keep the edit", "edit-by", "edit-reason")
        await signs(page, "Replay", "replay-by")
        await is_at(page, page.url, "REPLAYED")
        assert await state_of(shop, system, order) != "None"

        await page.goto(f"/dead-letters/{other}")
        await signs(page, "Discard", "discard-by", "discard-reason")
        await is_at(page, page.url, "DISCARDED")
        await expect(page.get_by_text("Discarded by Jane Doe")).to_be_visible()


async def signs(page: Page, button: str, *fields: str) -> None:
    """Fill in who does it, and why, and press a button."""
    for each in fields:
        await page.locator(f"#{each}").fill("Jane Doe")
    await page.get_by_role("button", name=button).click()


async def is_at(page: Page, address: str, state: str) -> None:
    """Reload a page, as one does without script, until it shows this state."""

    async def shows() -> bool:
        await page.goto(address)
        return await page.locator(".badge", has_text=state).count() > 0

    await eventually(shows, f"it is {state}", every=0.2)


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", (1280, 800)), ("dark", (390, 844))], ids=str
)
async def test_axe_finds_nothing_and_nothing_is_cut_off(
    shop: Shop, system: RealSystem, scheme: str, size: tuple[int, int]
) -> None:
    _, letter = await arrives(shop, customerName="", more=HOSTILE)
    group = (await letters(shop))[0]["fingerprint"]
    paths = ["", f"/groups/{group}", f"/groups/{group}?state=DISCARDED", f"/{letter}"]
    addresses = [*(f"/dead-letters{each}" for each in paths), "/", "/?state=HELD"]
    view: dict[str, Any] = {
        "color_scheme": scheme,
        "viewport": dict(zip(("width", "height"), size, strict=True)),
    }
    async with open_browser() as browser:
        await is_sound(browser, base(system), addresses, view)


async def is_sound(
    browser: Browser, address: str, paths: list[str], view: dict[str, Any]
) -> None:
    """Check each page by axe, and that nothing is wider than the screen."""
    async with open_page(browser, address, **view) as page:
        for path in paths:
            await page.goto(path)
            assert await violations(page) == [], path
            wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await page.evaluate(wider), path
