"""Signing in as people do it, in a browser: what an operator decides bears their name; customers see their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Page, expect

from services.notification.model import State
from tests.notification.test_discard import kept
from tests.support.browser import open_browser, violations
from tests.support.eventually import eventually
from tests.support.services import notification_service, order_service
from tests.support.sign_in import issuing, settings
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.runfile import free_port

pytestmark = pytest.mark.system

VIEWS = [("light", (1280, 800)), ("dark", (390, 844))]
PATIENCE = 60_000
"""Milliseconds."""


@asynccontextmanager
async def served(app: FastAPI, port: int) -> AsyncIterator[None]:
    """Serve an app that runs already, at a port."""
    config = uvicorn.Config(app, port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    try:
        await eventually(started, "it is served")
        yield
    finally:
        server.should_exit = server.force_exit = True
        await task


@asynccontextmanager
async def window(scheme: str, size: tuple[int, int], base: str) -> AsyncIterator[Page]:
    """Open a window, and check in the end that no page reported an error."""
    wrong: list[str] = []
    async with open_browser() as browser:
        context = await browser.new_context(
            base_url=base,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport=dict(zip(("width", "height"), size, strict=True)),  # type: ignore[arg-type]
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
    assert wrong == []


async def signs_in(page: Page, name: str, address: str) -> None:
    """Open a page, and choose who to be."""
    await page.goto(address)
    await expect(page.get_by_text("For development on this machine")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("button", name=name).click()
    await expect(page.get_by_text(f"Signed in as {name}")).to_be_visible()
    await is_sound(page)


async def signs_out(page: Page) -> None:
    """Sign out."""
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    await is_sound(page)


async def is_sound(page: Page) -> None:
    """Check that axe finds nothing, and that nothing is cut off."""
    assert await violations(page) == [], page.url
    wider = (
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not await page.evaluate(wider), page.url


@pytest.mark.parametrize(("scheme", "size"), VIEWS, ids=str)
async def test_an_operator_releases_in_their_name_and_is_nobody_after_signing_out(
    tmp_path: Path, dapr: SimulatedDapr, scheme: str, size: tuple[int, int]
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}/"
    with issuing(tmp_path, "notification", base) as issuer:
        given = settings(issuer, "notification", base)
        async with (
            notification_service(tmp_path, dapr, **given) as service,
            served(service.app, port),
            window(scheme, size, base) as page,
        ):
            order = await kept(service, State.HELD)
            await signs_in(page, "Olga Weber", "/?state=HELD")
            assert page.url == f"{base}?state=HELD"
            await page.get_by_label(f"Select order {order}").check()
            await page.get_by_label("Why").fill("The customer asks for it.")
            await page.get_by_role("button", name="Release the selected").click()
            await expect(page.get_by_text("Done for 1.")).to_be_visible()

            await page.goto(f"/?order={order}")
            await expect(page.get_by_text("released by olga")).to_be_visible()
            await signs_out(page)
            await page.goto(f"/?order={order}")
            await expect(page.get_by_text("For development")).to_be_visible()


async def test_a_customer_sees_their_own_orders_and_no_page_of_operators(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}/"
    with issuing(tmp_path, "order", base) as issuer:
        async with (
            order_service(tmp_path, dapr, **settings(issuer, "order", base)) as service,
            served(service.app, port),
            window(*VIEWS[0], base) as page,
        ):
            await signs_in(page, "Alice Martin", "/")
            await page.get_by_label("Customer").fill("Alice and nobody else")
            await page.get_by_role("button", name="Place the order").click()
            link = page.get_by_role("status").get_by_role("link")
            placed = await link.inner_text()
            await expect(page.locator(f"#order-{placed}")).to_be_visible()
            await expect(page.get_by_role("link", name="Operations")).to_have_count(0)
            await page.goto("/operations")
            await expect(page.get_by_text("It needs the scope operate")).to_be_visible()
            await is_sound(page)
            await signs_out(page)

            await signs_in(page, "Bob Okafor", "/")
            await expect(page.get_by_text("Alice and nobody else")).to_have_count(0)
            await page.goto(f"/orders/{placed}")
            await expect(
                page.get_by_text(f"There is no order {placed}")
            ).to_be_visible()
            await signs_out(page)

            await signs_in(page, "Olga Weber", f"/orders/{placed}")
            await expect(
                page.get_by_text("Alice and nobody else").first
            ).to_be_visible()
