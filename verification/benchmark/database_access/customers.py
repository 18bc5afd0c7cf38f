"""Customers of a small protocol, in a process of their own: each sends a line, and waits for its answer."""

import asyncio
import time
from collections.abc import Iterator

LINE = b'{"customerName": "Jane Doe"}\n'


def send_lines(port: int, clients: int, orders: int) -> list[float]:
    """Send so many lines in all, and return how long each answer took, in milliseconds."""
    return asyncio.run(_send_all(port, clients, iter(range(orders))))


async def _send_all(port: int, clients: int, orders: Iterator[int]) -> list[float]:
    latencies: list[float] = []
    await asyncio.gather(*(_customer(port, orders, latencies) for _ in range(clients)))
    return latencies


async def _customer(port: int, orders: Iterator[int], latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in orders:
        started = time.perf_counter()
        writer.write(LINE)
        await reader.readline()
        latencies.append((time.perf_counter() - started) * 1000)
    writer.close()
