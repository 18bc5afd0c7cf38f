"""Locks between processes of one machine: held in a file, released by the kernel when their holder dies."""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

_log = logging.getLogger(__name__)


def try_lock(file: IO[bytes], kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock of an open file without waiting, alone or shared; return whether it was free."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def exclusive(path: Path, interval: float = 0.5) -> AsyncIterator[None]:
    """Hold the lock in this file; while another process has it, ask again every `interval` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if not try_lock(file):
            _log.warning("%s is held by another process; waiting", path.name)
            while not try_lock(file):  # noqa: ASYNC110 - the other process sets no event of ours
                await asyncio.sleep(interval)
        yield
