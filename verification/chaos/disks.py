"""Small disks in memory, to be filled to the last byte: one for the database of a service."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

FOR_EACH_ORDER, LEAST = 16 * 1024, 64 * 2**20
"""Bytes that a service keeps of an order, amply; and those that a disk has at least."""
FILLER = "filler"


def size_for(orders: int) -> int:
    """Return the bytes that a disk for the database of so many orders needs."""
    return LEAST + orders * FOR_EACH_ORDER


def can_be_mounted() -> bool:
    """Return whether this process may mount a disk."""
    with TemporaryDirectory() as folder, suppress(OSError):
        try:
            with mounted(Path(folder), LEAST):
                return True
        except subprocess.CalledProcessError:
            pass
    return False


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes on this folder; it is gone at the end, with all that is on it."""
    options = f"size={size},mode=0700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        # Lazily: it goes even where a process that dies still has a file open.
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(folder: Path) -> None:
    """Fill a disk to the last byte."""
    with (folder / FILLER).open("wb") as file:
        for step in (2**20, 4096):
            _take(file.fileno(), step)


def empty(folder: Path) -> None:
    """Free what `fill` took."""
    (folder / FILLER).unlink(missing_ok=True)


def _take(descriptor: int, step: int) -> None:
    with suppress(OSError):  # there is no more
        while True:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step)
