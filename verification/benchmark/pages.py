"""Measure the order service's pages over many orders, with live streams open: how long each takes.

    python -m verification.benchmark.pages 1000000

The orders are stored first (a minute or two for a million); the service then runs alone, on SQLite, as `make run`
starts it. One browser's worth of requests, one after the other; each figure is of 200.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import httpx

from tests.support.database import url_in
from tests.support.eventually import answers, eventually
from toolchain.runfile import ROOT, free_port
from verification.benchmark.fill import fill

STREAMS, TIMES = 50, 200
PAGES = {
    "the newest": "/",
    "far behind": f"/?cursor={UUID(int=1 << 126)}",
    "a frequent name": "/?find=jane",
    "a rare name": "/?find=ada",
    "nobody": "/?find=nobody",
    "a frequent name in a rare state": "/?find=jane&state=FAILED",
    "sent, on a day": "/?state=SENT&since={day}&until={day}",
    "one order": "/{order}",
}
SERVER = [
    *(sys.executable, "-m", "uvicorn", "--factory", "services.order.app:create_app"),
    *("--no-access-log", "--log-level=error"),
]


async def measure(folder: Path) -> dict[str, list[float]]:
    """Return the seconds of each page, sorted, with STREAMS open and a new order every second."""
    async with _server(folder) as base, httpx.AsyncClient(base_url=base) as http:
        for number in range(3):
            await _place(http, f"Ada {number}")
        listed = (await http.get("/")).text
        order = re.search(r'href="\./(orders/[0-9a-f-]+)"', listed)
        day = re.search(r'datetime="([0-9-]{10})', listed)
        assert order
        assert day
        names = {"order": order[1], "day": day[1]}
        pages = {name: path.format(**names) for name, path in PAGES.items()}
        async with AsyncExitStack() as stack:
            streams = [_listens(base, stack) for _ in range(STREAMS)]
            read = [asyncio.create_task(each) for each in streams]
            placing = asyncio.create_task(_places(http))
            await asyncio.sleep(3)
            taken = {name: await _times(http, path) for name, path in pages.items()}
            for task in (*read, placing):
                task.cancel()
            await asyncio.gather(*read, placing, return_exceptions=True)
        return taken


async def _times(http: httpx.AsyncClient, path: str) -> list[float]:
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        answer = await http.get(path)
        taken.append(time.perf_counter() - started)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return sorted(taken)


async def _listens(base: str, stack: AsyncExitStack) -> None:
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=600))
    async with client.stream("GET", f"{base}/live") as stream:
        async for _ in stream.aiter_bytes():
            pass


async def _places(http: httpx.AsyncClient) -> None:
    while True:
        await _place(http, "Jane Doe")
        await asyncio.sleep(1)


async def _place(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.post("/", data={"customerName": name})
    assert answer.status_code == 303, answer.text


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[str]:
    port = free_port()
    settings = {"DATABASE_URL": url_in(folder, "order"), "SECRETS_FOLDER": str(folder)}
    # No sidecar: events wait, as in an outage of the broker, so that pages have orders on their way.
    settings["DAPR_HTTP_PORT"] = str(free_port())
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [*SERVER, f"--port={port}"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stderr=log,
        )
        base = f"http://127.0.0.1:{port}"
        try:
            async with httpx.AsyncClient() as client:
                await eventually(lambda: answers(client, f"{base}/healthz"), "it runs")
            yield base
        finally:
            server.terminate()
            server.wait(30)


def main() -> None:
    """Fill, measure and print a table."""
    orders = int(sys.argv[1])
    with TemporaryDirectory() as name:
        folder = Path(name)
        fill({each: url_in(folder, each) for each in ("order", "notification")}, orders)
        taken = asyncio.run(measure(folder))
    print(f"{orders:,} orders, {STREAMS} streams; milliseconds of {TIMES} requests")
    for page, times in taken.items():
        p50, p99 = (1000 * times[int(TIMES * part)] for part in (0.5, 0.99))
        print(f"{page:32} p50 {p50:6.1f}  p99 {p99:6.1f}")


if __name__ == "__main__":
    main()
