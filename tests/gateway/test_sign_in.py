"""Who calls is asked behind the gateway as before it: tokens, and people who sign in under its name."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.support.browser import open_browser
from tests.support.door import BELOW, Door, guard, serve

pytestmark = pytest.mark.system

PATIENCE = 60_000
"""Milliseconds."""


@pytest.fixture(scope="module")
async def guarded(door: Door) -> AsyncIterator[Door]:
    """Start both services again with an issuer each, and without one at the end."""
    apps = [door.real.apps[name] for name in BELOW]
    before = [dict(app.environment) for app in apps]
    with ExitStack() as issuers:
        guard(door, issuers)
        await _start_again(door)
        yield door
    for app, environment in zip(apps, before, strict=True):
        app.environment = environment
    await _start_again(door)


async def _start_again(door: Door) -> None:
    apps = [door.real.apps[name] for name in BELOW]
    await asyncio.gather(*(asyncio.to_thread(app.stop) for app in apps))
    for app in apps:
        app.start()
    await serve(door)


async def _signs_in(page: Page, name: str, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name=name).click()
    await expect(page.get_by_text(f"Signed in as {name}")).to_be_visible()


@asynccontextmanager
async def _opened(door: Door) -> AsyncIterator[BrowserContext]:
    async with open_browser() as browser:
        context = await browser.new_context(base_url=door.url, ignore_https_errors=True)
        context.set_default_timeout(PATIENCE)
        yield context


async def test_a_live_page_shows_an_order_by_itself_until_its_session_ends(
    guarded: Door,
) -> None:
    async with _opened(guarded) as context:
        page, watching = await context.new_page(), await context.new_page()
        await _signs_in(page, "Bob Okafor", "/")
        await watching.goto("/")
        live = watching.locator("#live")
        await expect(live).to_contain_text("Live:", timeout=PATIENCE)

        await page.get_by_label("Customer").fill("Bob, seen from elsewhere")
        await page.get_by_role("button", name="Place the order").click()
        row = watching.get_by_role("row").filter(has_text="seen from elsewhere")
        await expect(row).to_be_visible(timeout=PATIENCE)

        file = guarded.real.system.state / "order.db"
        with closing(sqlite3.connect(file, isolation_level=None)) as stored:
            stored.execute("UPDATE page_session SET expires_at = '2026-01-01 00:00:00'")
        await expect(live).to_contain_text("session has ended", timeout=PATIENCE)
        await watching.reload()
        await expect(watching.get_by_role("button", name="Bob Okafor")).to_be_visible()


async def test_customers_and_operators_sign_in_under_the_gateways_name(
    guarded: Door,
) -> None:
    async with guarded.client() as client:
        refused = await client.get("/api/order")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")

    async with _opened(guarded) as context:
        page = await context.new_page()
        await _signs_in(page, "Alice Martin", "/")
        assert page.url == f"{guarded.url}/"
        await page.get_by_label("Customer").fill("Alice and nobody else")
        await page.get_by_role("button", name="Place the order").click()
        await expect(page.get_by_text("is accepted")).to_be_visible()
        await expect(page.locator("#live")).to_contain_text("Live", timeout=PATIENCE)

        await _signs_in(page, "Olga Weber", "/notifications/operations")
        assert page.url == f"{guarded.url}/notifications/operations"
        kept = {each["name"]: each for each in await context.cookies()}
        for name in BELOW:
            cookie = kept[f"__Host-{name}-session"]
            assert (cookie["secure"], cookie["httpOnly"]) == (True, True)
        await page.goto("/")
        await expect(page.get_by_text("Signed in as Alice Martin")).to_be_visible()
