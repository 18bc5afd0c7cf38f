"""Where a process listens, as the kernel knows it (Linux)."""

import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

LISTEN = "0A"


def listening_at(pid: int) -> set[str]:
    """Return the addresses on which a process listens for TCP connections."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            inodes.add(
                str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")
            )
    rows = [line.split() for name in ("tcp", "tcp6") for line in _table(pid, name)]
    return {_address(row[1]) for row in rows if row[3] == LISTEN and row[9] in inodes}


def _table(pid: int, name: str) -> list[str]:
    return Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]


def _address(local: str) -> str:
    # Four bytes at a time, each in the machine's own order.
    words = local.partition(":")[0]
    parts = [int(words[start : start + 8], 16) for start in range(0, len(words), 8)]
    packed = b"".join(struct.pack("=I", part) for part in parts)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return str(ipaddress.ip_address(socket.inet_ntop(family, packed)))
