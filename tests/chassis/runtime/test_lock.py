"""Locks between processes: one holder at a time, and the kernel lets go when it dies."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis.runtime.lock import exclusive, try_lock
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
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
    """Run another process that waits for the lock, says so when it has it, and holds it."""
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
    """Try the lock, and let it go again."""
    with path.open("ab") as file:
        return try_lock(file)


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with path.open("ab") as first, path.open("ab") as second:
        assert try_lock(first)
        assert not try_lock(second)
        assert try_lock(first)
    assert is_free(path)


async def test_a_lock_is_let_go_at_the_end_whatever_the_end_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    async def fail() -> None:
        async with exclusive(path):
            assert not is_free(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert is_free(path)


async def test_the_folder_of_a_lock_is_made(tmp_path: Path) -> None:
    async with exclusive(tmp_path / "a" / "b" / "lock"):
        assert not is_free(tmp_path / "a" / "b" / "lock")


async def test_a_lock_of_another_process_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    async with holder(path) as other:
        await has_it(other)
        assert not is_free(path)


async def test_the_kernel_lets_go_when_the_holder_is_killed(tmp_path: Path) -> None:
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


async def test_whoever_waits_says_so_once_and_leaves_when_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "chassis.lock")

    async def wait() -> None:
        async with exclusive(tmp_path / "lock", 0.01):
            raise AssertionError("two hold one lock")

    async with exclusive(tmp_path / "lock"):
        waiting = asyncio.create_task(wait())

        async def has_said_so() -> bool:
            return bool(caplog.messages)

        await eventually(has_said_so, "the second says that it waits")
        waiting.cancel()
        await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert caplog.messages == ["lock is held by another process; waiting for it to end"]
    assert is_free(tmp_path / "lock")
