"""Locks between processes: one holder at a time; the kernel releases it when its holder dies."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis.runtime.lock import exclusive, try_lock
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]
HOLD = """
import asyncio, sys
from pathlib import Path
from chassis.runtime.lock import exclusive

async def hold():
    async with exclusive(Path(sys.argv[1]), 0.02):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@asynccontextmanager
async def holder(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run another process that waits for the lock, prints a line when it has it, and holds it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def has_it(process: asyncio.subprocess.Process) -> None:
    """Wait until a process holds the lock."""
    assert process.stdout
    assert await asyncio.wait_for(process.stdout.readline(), 10) == b"held\n"


def is_free(path: Path) -> bool:
    """Return whether nobody holds the lock."""
    with path.open("ab") as file:
        return try_lock(file)


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with path.open("ab") as first, path.open("ab") as second:
        assert try_lock(first)
        assert not try_lock(second)
        assert try_lock(first)
    assert is_free(path)


async def test_a_lock_is_released_at_the_end_even_after_an_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"

    async def fail() -> None:
        async with exclusive(path):
            assert not is_free(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert is_free(path)


async def test_the_folder_of_a_lock_is_created(tmp_path: Path) -> None:
    async with exclusive(tmp_path / "a" / "b" / "lock"):
        assert not is_free(tmp_path / "a" / "b" / "lock")


async def test_a_lock_that_another_process_holds_is_not_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    async with holder(path) as other:
        await has_it(other)
        assert not is_free(path)


async def test_the_kernel_releases_the_lock_of_a_process_that_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"

    async with holder(path) as first, holder(path) as second:
        waits = [asyncio.create_task(has_it(each)) for each in (first, second)]
        done, (waiting,) = await asyncio.wait(
            waits, return_when=asyncio.FIRST_COMPLETED
        )
        first_holder = first if waits[0] in done else second
        assert not waiting.done()
        first_holder.kill()

        await waiting


async def test_waiting_for_a_lock_is_logged_once_and_can_be_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "chassis.runtime.lock")

    async def wait() -> None:
        async with exclusive(tmp_path / "lock", 0.01):
            raise AssertionError("two hold one lock")

    async with exclusive(tmp_path / "lock"):
        waiting = asyncio.create_task(wait())

        async def is_logged() -> bool:
            return bool(caplog.messages)

        await eventually(is_logged, "the second one logs that it waits")
        waiting.cancel()
        await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert caplog.messages == ["lock is held by another process; waiting"]
    assert is_free(tmp_path / "lock")
