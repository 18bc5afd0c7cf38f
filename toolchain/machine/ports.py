"""Who listens on a port of this machine (Linux)."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LISTENS = "0A"


def holder(port: int) -> str:
    """Return the program and the process that listen there, as far as this user may see them."""
    for process in _holders(port):
        with suppress(OSError):  # it has ended meanwhile
            return f"{(process / 'comm').read_text().strip()}, process {process.name}"
    return "a program of another user"


def others() -> str:
    """Return what runs a system on other ports than those that OFFSET chooses."""
    offset = os.environ.get("OFFSET", "")
    return f"make run OFFSET={int(offset) + 1000 if offset.isdecimal() else 1000}"


def is_held_from(port: int, folder: Path) -> bool:
    """Return whether a program that was started in a folder, or in one below it, listens there."""
    for process in _holders(port):
        with suppress(OSError):
            return (process / "cwd").readlink().is_relative_to(folder.resolve())
    return False


def _holders(port: int) -> Iterator[Path]:
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for links in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            if any(str(each.readlink()) in wanted for each in links.iterdir()):
                yield links.parent


def _inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):  # a kernel without IPv6
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == LISTENS and local.endswith(f":{port:04X}"):
                    yield inode
