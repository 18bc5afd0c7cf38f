"""Waiting in tests: until something is true, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")


async def eventually(
    attempt: Callable[[], Awaitable[T | None]],
    what: str,
    deadline: float = 60.0,
    every: float = 0.02,
) -> T:
    """Return the first answer that is neither None nor False; fail after the deadline."""
    end = time.monotonic() + deadline
    while True:
        answer = await attempt()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        await asyncio.sleep(every)


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Return whether a GET is answered with 200; where nobody listens, it is not."""
    try:
        return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


def within(seconds: float, attempt: Callable[[], bool], what: str) -> None:
    """Wait, in a test that is no coroutine, until something is true."""
    end = time.monotonic() + seconds
    while not attempt():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def is_held_still(pid: int) -> bool:
    """Return whether every thread of a process has stopped, which SIGSTOP takes its time for."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(each.read_text().rpartition(") ")[2].startswith("T") for each in stats)
