"""Measure the CPU that the gateway costs for each request: python -m tests.gateway.cost.

The same GET goes to the order service itself, through its sidecar, and through the gateway and both sidecars.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import httpx

from tests.support.door import Door, opened
from toolchain.supervise import descendants

CLIENTS, EACH = 20, 190
"""Each client has an address of its own: 190 requests are within the limit of one."""


async def main() -> None:
    """Print the milliseconds of CPU for each request and part."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as door:
            await _measure(door)


async def _measure(door: Door) -> None:
    async with door.client() as client:
        placed = await client.post("/api/order", json={"customerName": "Jane Doe"})
    path = f"/api/order/{placed.json()['orderId']}"
    order = f"http://127.0.0.1:{door.real.instances['order']['appPort']}"
    ways = (
        ("the service itself", order),
        ("through its sidecar", door.real.invoke_url("order", "order")),
        ("through the gateway", door.url),
    )
    for name, base in ways:
        await _ask(door, base + path, range(10, 10 + CLIENTS))  # warm
        before = _used(door)
        await _ask(door, base + path, range(40, 40 + CLIENTS))
        used = {part: each - before[part] for part, each in _used(door).items()}
        spent = {part: f"{each / CLIENTS / EACH:.2f}" for part, each in used.items()}
        print(f"{name}: {spent}")  # noqa: T201 - a command line


async def _ask(door: Door, url: str, addresses: Iterable[int]) -> None:
    for number in addresses:
        source = httpx.AsyncHTTPTransport(
            local_address=f"127.0.0.{number}", verify=door.tls
        )
        async with httpx.AsyncClient(transport=source) as client:
            for _ in range(EACH):
                assert (await client.get(url)).status_code == 200


def _used(door: Door) -> dict[str, float]:
    """Return the milliseconds of CPU that each part has used."""
    real = door.real
    return {
        "order": _milliseconds(real.apps["order"].pids()),
        "order's sidecar": _milliseconds(real.sidecars["order"].pids()),
        "gateway's sidecar": _milliseconds(real.sidecars["gateway"].pids()),
        "nginx": _milliseconds(
            {each for pid in real.apps["gateway"].pids() for each in descendants.children(pid)}
        ),
    }  # fmt: skip


def _milliseconds(pids: Iterable[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    asyncio.run(main())
