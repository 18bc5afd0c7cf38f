"""The playground on the real system: its page kills the broker while orders come in, and ours loses nothing."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.support.browser import open_browser, open_page, violations
from tests.support.eventually import answers, eventually
from toolchain.runfile import ROOT, free_port, is_free
from toolchain.supervise import descendants
from verification.playground.__main__ import PORT

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
STARTS_WITHIN, WITHIN = 100.0, 120_000.0
"""Seconds, and milliseconds for a page: to settle takes the time after which an order counts as lost."""


@contextmanager
def _playground(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the playground as it is typed, and end it as Ctrl-C does, which reaches its whole group."""
    command = ["make", "playground", f"OFFSET={port - PORT}"]
    with (folder / "playground.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


@pytest.mark.parametrize("setting", ["SECURE=yes", "GATEWAY=yes"])
def test_it_says_that_it_does_not_run_with_tokens_or_a_gateway(setting: str) -> None:
    typed = ["make", "--no-print-directory", "playground", setting]

    ended = subprocess.run(typed, cwd=ROOT, capture_output=True, check=False, text=True)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "The playground has no tokens, no certificates" in ended.stderr


async def test_the_broker_is_killed_by_a_button_and_ours_loses_no_order(
    tmp_path: Path,
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with _playground(port, tmp_path) as process:
        async with httpx.AsyncClient(trust_env=False) as http:
            await eventually(
                lambda: answers(http, base), "the page is there", STARTS_WITHIN, 0.2
            )
        async with open_browser() as browser, open_page(browser, base) as page:
            await page.goto("/")
            assert await violations(page) == []
            await _break_the_broker(page)
            verdict = page.locator(".notice")
            await expect(verdict).to_contain_text("Ours:", timeout=WITHIN)
            text = await verdict.inner_text()
            assert await violations(page) == []
            # What is frozen when it ends is not left behind.
            await _press(page, "Freeze the notification app")
            await expect(page.get_by_text("frozen").first).to_be_visible()
        parts = _family(process.pid)
        assert len(parts) > 20

    assert text.startswith("Ours: none lost, none twice of")
    _nothing_is_left(parts, tmp_path)
    assert is_free(port)


def _family(pid: int) -> set[int]:
    return {pid}.union(*(_family(child) for child in descendants.children(pid)))


def _nothing_is_left(parts: set[int], folder: Path) -> None:
    assert not any(Path(f"/proc/{each}").exists() for each in parts)
    assert [each.name for each in folder.iterdir()] == ["playground.log"]


async def _break_the_broker(page: Page) -> None:
    """Place orders, kill the broker, and settle: all of it by the keyboard."""
    await page.get_by_label("Orders a second").focus()
    for _ in range(10):
        await page.keyboard.press("ArrowRight")
    accepted = page.get_by_role("row", name="Accepted").get_by_role("cell").first
    await expect(accepted).not_to_have_text("0", timeout=WITHIN)
    await _press(page, "Kill the broker")
    back = page.get_by_text("Broker of ours works again")
    await expect(back).to_be_visible(timeout=WITHIN)
    await _press(page, "Let it settle")


async def _press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).focus()
    await page.keyboard.press("Enter")
