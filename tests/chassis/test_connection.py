"""What a connection may cost: whoever sends nothing, or without end, is closed, and keeps nobody out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from chassis.connection import Connection

GET = b"GET / HTTP/1.1\r\nhost: app\r\n\r\n"
DEADLINE = 60.0


class Impatient(Connection):
    """A connection of a test."""

    WITHIN, AGAIN, MOST = 0.3, 0.1, 20


class Patient(Connection):
    """A connection that waits for longer than a test takes."""

    WITHIN = 600.0


async def app(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer once all of the body is there."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(
    kind: type[Connection], keep_alive: int = 600
) -> AsyncIterator[tuple[int, ServerState]]:
    """Serve the app; yield the port and what the server knows of its connections."""
    config = uvicorn.Config(app, timeout_keep_alive=keep_alive, lifespan="off")
    config.load()
    state = ServerState()
    make: Callable[[], Connection] = lambda: kind(config, state, {})  # noqa: E731
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], state
    finally:
        server.close()
        for each in [*state.connections]:
            each.transport.close()
        await server.wait_closed()


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """Connect to the app."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection is closed."""
    async with asyncio.timeout(DEADLINE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def answer(client: Client, request: bytes = GET) -> bytes:
    """Return the status line of the answer to a request."""
    reader, writer = client
    writer.write(request)
    async with asyncio.timeout(DEADLINE):
        status = await reader.readline()
        await reader.readuntil(b"ok")
    return status


@pytest.mark.parametrize(
    "part",
    [
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nhost: app\r\nx",
        b"POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 5\r\n\r\nab",
        b"POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        GET + b"GET / HTTP",
    ],
)
async def test_a_request_that_begins_and_does_not_arrive_is_closed(part: bytes) -> None:
    async with served(Impatient) as (port, _), connected(port) as (reader, writer):
        writer.write(part)

        assert (await rest(reader)).count(b"200 OK") == part.count(b"\r\n\r\nGET")


async def test_it_is_closed_too_where_it_comes_byte_by_byte() -> None:
    async with served(Impatient) as (port, _), connected(port) as (reader, writer):
        closed = asyncio.create_task(rest(reader))
        with suppress(OSError):
            while not closed.done():
                writer.write(b"x")
                await asyncio.wait([closed], timeout=0.05)

        assert b"200" not in await closed


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with served(Patient, keep_alive=1) as (port, _), connected(port) as client:
        assert await rest(client[0]) == b""


async def test_a_request_that_comes_in_pieces_is_answered_and_the_next_one_too() -> (
    None
):
    async with served(Patient) as (port, _), connected(port) as client:
        for piece in (GET[:10], GET[10:20]):
            client[1].write(piece)
            await client[1].drain()

        assert b"200" in await answer(client, GET[20:])
        assert b"200" in await answer(client)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 110,
        b"GET / HTTP/1.1\r\n"
        + b"".join(b"h%d: %s\r\n" % (n, b"x" * 1000) for n in range(40)),
        b"GET / HTTP/1.1\r\nx: " + b"y" * 2_000_000,
        b"GET /" + b"y" * 2_000_000,
    ],
)
async def test_a_head_without_end_is_refused(head: bytes) -> None:
    async with served(Patient) as (port, _), connected(port) as (reader, writer):
        with suppress(OSError):
            writer.write(head)
            await writer.drain()

        assert b"200" not in await rest(reader)


@pytest.mark.parametrize(
    "sent", [b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n", b"no request\r\n\r\n"]
)
async def test_what_is_no_request_is_refused_with_a_problem_document(
    sent: bytes,
) -> None:
    class Roomy(Patient):
        MOST_BYTES = 100_000

    async with served(Roomy) as (port, _), connected(port) as (reader, writer):
        writer.write(sent)
        head, _, body = (await rest(reader)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert json.loads(body)["type"] == "urn:problem-type:malformed-request"


async def test_idle_connections_keep_nobody_out() -> None:
    async with served(Impatient) as (port, state):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        async with connected(port) as client:
            assert b"200" in await answer(client)
            assert len(state.connections) <= Impatient.MOST + 1
            more = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
            # One that has asked something stays while others have not.
            assert b"200" in await answer(client)
        for _, writer in (*idle, *more):
            writer.close()
