"""Locks between programs: two set-ups at once neither do the same work twice nor write each other's files."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(
    lock: Path,
    say_waiting: Callable[[], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Hold the lock, after waiting for another holder; the kernel frees it however its holder ends.

    `meanwhile` runs again and again while another one holds it; what it raises ends the wait.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(descriptor):
            say_waiting()
            while not try_lock(descriptor):
                meanwhile()
                time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def shared(lock: Path) -> Iterator[int]:
    """Hold the lock together with others, after waiting for one who holds it alone."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)


def made_once(
    final: Path, say_waiting: Callable[[], None], make: Callable[[], None]
) -> Path:
    """Return a path, made by this call unless it is there; whoever comes second waits for the first."""
    if not final.exists():
        with alone(final.with_suffix(".lock"), say_waiting):
            if not final.exists():
                make()
    return final


def try_lock(descriptor: int) -> bool:
    """Take the lock alone if nobody else holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(lock: Path) -> bool:
    """Return whether somebody holds the lock."""
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def remove(path: Path) -> None:
    """Remove what an earlier attempt left, be it a file or a folder or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
