"""The live parts of pages: one poll for all that show the same, a bound, and an end with the service."""

import asyncio
import signal
import sqlite3
import sys
import threading
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.http import Read
from chassis.pages import live, watch
from tests.chassis.pages.things import list_of_things
from tests.support.database import execute
from tests.support.eventually import answers, eventually
from tests.support.services import Service
from toolchain.runfile import free_port

ROOT = Path(__file__).parents[3]
SERVER = "tests.chassis.pages.things:create_app"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.02)


def stream(
    service: Service, word: str = "a", look: live.Look[str] = list_of_things
) -> AsyncIterator[ServerSentEvent]:
    """Open the stream of a page."""
    scope = {
        "type": "http",
        "app": service.app,
        "path": f"/live/{word}",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 80),
    }
    return watch(Read(scope), look, word)


async def newest(stream: AsyncIterator[ServerSentEvent]) -> ServerSentEvent:
    """Return what a stream sends next."""
    return await asyncio.wait_for(anext(stream), 10)


async def test_a_stream_sends_what_is_there_and_then_what_changes(
    service: Service,
) -> None:
    opened = stream(service)
    first = await newest(opened)
    await execute(service.database, "INSERT INTO thing VALUES ('new <b>')")
    second = await newest(opened)

    assert first.raw_data == "<ul><li>a</li></ul>"
    assert second.raw_data == "<ul><li>a</li><li>new &lt;b&gt;</li></ul>"


async def test_streams_of_the_same_part_share_one_poll(service: Service) -> None:
    opened = [stream(service, word) for word in "aaab"]
    for each in opened:
        await newest(each)

    state: live.Live = service.app.state.live
    assert state.streams == 4
    assert len(state.hubs) == 2


async def test_streams_leave_threads_to_others_while_the_database_does_not_answer(
    service: Service,
) -> None:
    answers_again = threading.Event()

    def hang(_session: Session) -> str:
        assert answers_again.wait(20)
        return "at last"

    async def look(read: Read, _word: str) -> str:
        return await read(hang)

    opened = [stream(service, str(each), look) for each in range(10)]
    first = [asyncio.create_task(newest(each)) for each in opened]
    try:
        await asyncio.wait(first, timeout=0.2)
        assert (await asyncio.wait_for(service.http.get("/things/a"), 5)).is_success
    finally:
        answers_again.set()

    assert {each.raw_data for each in await asyncio.gather(*first)} == {"at last"}


async def test_nothing_is_polled_for_when_the_last_stream_has_ended(
    service: Service,
) -> None:
    opened = stream(service)
    await newest(opened)
    state: live.Live = service.app.state.live
    (hub,) = state.hubs.values()

    await opened.aclose()  # type: ignore[attr-defined]

    assert not state.hubs
    await asyncio.wait([hub.task], timeout=10)
    assert hub.task.cancelled()


async def test_a_page_beyond_the_bound_is_told_that_it_is_not_live(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST", 1)
    first = stream(service)
    await newest(first)

    refused = [each async for each in stream(service)]

    assert [each.event for each in refused] == ["not-live"]
    assert refused[0].retry == live.LATER


async def test_a_stream_says_when_the_database_does_not_answer_and_goes_on_after_it(
    service: Service,
) -> None:
    opened = stream(service)
    await newest(opened)
    await execute(service.database, "ALTER TABLE thing RENAME TO gone")

    lost = await newest(opened)
    await execute(service.database, "ALTER TABLE gone RENAME TO thing")
    found = await newest(opened)

    assert lost.event == "not-live"
    assert found.raw_data == "<ul><li>a</li></ul>"


async def test_a_database_that_does_not_answer_is_logged_once_for_each_part(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    again = asyncio.Event()
    looks: list[str] = []

    async def look(_read: Read, word: str) -> str:
        looks.append(word)
        if len(looks) > 3:
            again.set()
        raise OSError(word)

    opened = stream(service, look=look)
    assert (await newest(opened)).raw_data == live.UNREADABLE
    await asyncio.wait_for(again.wait(), 10)

    assert [
        each.getMessage() for each in caplog.records if each.name == live.__name__
    ] == ["a live page cannot be refreshed: OSError('a')"]


async def test_a_stream_of_what_is_not_there_says_so_and_blames_nothing_else(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def look(_read: Read, _word: str) -> str:
        raise Rejected("There is no order x.")

    told = await newest(stream(service, look=look))

    assert (told.event, told.raw_data) == ("not-live", "There is no order x.")
    assert live.__name__ not in [each.name for each in caplog.records]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """Serve the things as a process of its own, which waits a minute for its requests when it is to end."""
    port = free_port()
    server = await create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--factory", SERVER, f"--port={port}"),
        *("--log-level=warning", "--timeout-graceful-shutdown=60"),
        cwd=ROOT,
        env={
            "DATABASE_URL": f"sqlite:///{folder}/things.db",
            "SECRETS_FOLDER": str(folder),
        },
        stderr=PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as client:
            await eventually(
                lambda: answers(client, f"{url}/healthz"), "the server runs"
            )
        yield server, url
        server.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(server.communicate(), 40)
        assert server.returncode in {0, -signal.SIGTERM}
        assert b"Traceback" not in errors
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


async def test_an_open_stream_does_not_hold_up_the_end_of_the_service(
    tmp_path: Path,
) -> None:
    async with (
        served(tmp_path) as (server, url),
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{url}/live/a") as opened,
    ):
        lines = opened.aiter_lines()
        # Without its table: the stream is open, and says that it cannot look.
        assert await anext(lines) == "event: not-live"
        server.send_signal(signal.SIGTERM)
        async for _ in lines:
            pass


async def test_head_of_a_stream_ends_and_the_next_request_of_the_connection_is_answered(
    tmp_path: Path,
) -> None:
    """A proxy sends the requests of others on the connection of one that is answered."""
    async with served(tmp_path) as (_, url):
        host = httpx.URL(url)
        reader, writer = await asyncio.open_connection(host.host, host.port)
        for asked in (b"HEAD /live/a", b"GET /healthz"):
            writer.write(asked + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert head.startswith(b"HTTP/1.1 200 ")

        assert await reader.readexactly(18) == b'{"status":"alive"}'
        writer.close()


async def test_a_reader_that_stands_still_does_not_hold_up_the_end_of_the_service(
    tmp_path: Path,
) -> None:
    """More is sent than the kernel keeps, and never read."""
    async with served(tmp_path) as (_, url):
        with closing(sqlite3.connect(tmp_path / "things.db")) as database, database:
            database.execute("CREATE TABLE thing (name text)")
            database.execute("INSERT INTO thing VALUES (hex(zeroblob(10000000)))")
        address = httpx.URL(url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(f"GET /live/a HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode())

        assert await asyncio.wait_for(reader.readexactly(100_000), 30)

    writer.close()
