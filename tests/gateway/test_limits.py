"""What strangers may take up: requests, connections, time and memory; the real gateway before the services."""

import asyncio
import gzip
import resource
from collections import Counter
from contextlib import suppress

import pytest

from tests.support.door import Connection, Door
from tests.support.eventually import eventually

pytestmark = pytest.mark.system

OTHER, THIRD, FOURTH = ("127.0.0.2", 0), ("127.0.0.3", 0), ("127.0.0.4", 0)
"""Addresses of others on this machine; the client's own is 127.0.0.1."""
HEAD = b"GET /api/order?limit=1 HTTP/1.1\r\nHost: localhost\r\n"
POST = (
    b"POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


@pytest.fixture(autouse=True)
def room_for_connections() -> None:
    """Have this process hold more connections than the usual 1,024 files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _is_served(door: Door, source: tuple[str, int]) -> None:
    answer = await door.sends(HEAD + b"Connection: close\r\n\r\n", source=source)
    assert answer.startswith(b"HTTP/1.1 200"), answer


async def test_an_address_that_asks_too_much_is_told_to_wait_and_others_are_served(
    door: Door,
) -> None:
    number = 700
    pipelined = HEAD + b"\r\n"

    answers = await door.sends(
        pipelined * number + HEAD + b"Connection: close\r\n\r\n", source=OTHER
    )

    statuses = Counter(each[:3] for each in answers.split(b"HTTP/1.1 ")[1:])
    assert statuses[b"200"] + statuses[b"429"] == number + 1
    assert statuses[b"429"] > 0
    refused = answers[answers.index(b"HTTP/1.1 429") :]
    assert b"\r\nRetry-After: 1\r\n" in refused
    assert b'"type":"urn:problem-type:too-many-requests"' in refused
    await _is_served(door, THIRD)


@pytest.mark.parametrize(
    "sent",
    [
        "Authorization: bearer e30.e30.{}",
        "Cookie: a=b; __Host-order-session={}; other=c",
    ],
)
async def test_a_caller_that_asks_too_much_from_many_addresses_is_told_to_wait(
    sent: str, door: Door
) -> None:
    async def ask(number: int, secret: str = "s" * 43) -> bytes:
        one = HEAD + sent.format(secret).encode() + b"\r\n"
        raw = (one + b"\r\n") * 40 + one + b"Connection: close\r\n\r\n"
        return await door.sends(raw, source=(f"127.0.4.{number}", 0))

    answers = b"".join(await asyncio.gather(*(ask(number) for number in range(1, 13))))

    assert b"HTTP/1.1 429" in answers
    assert b"HTTP/1.1 429" not in await ask(20, "t" * 43)


@pytest.mark.parametrize(
    "sent",
    [
        "my-session={:032d}; __Host-order-session={{}}",
        "__Host-notification-session={:032d}; __Host-order-session={{}}",
        "__Host-order-session={:032d}; __Host-order-session={{}}",
        '__Host-order-session="{{}}\\{:03o}"',
        "__Host-order-session ={{}}; a={}",
    ],
)
async def test_a_session_is_one_caller_whatever_else_its_cookies_say(
    sent: str, door: Door
) -> None:
    session = "u" * 43

    async def ask(number: int) -> bytes:
        cookies = (sent.format(number * 41 + each) for each in range(41))
        raw = b"".join(
            HEAD + f"Cookie: {cookie.format(session)}\r\n\r\n".encode()
            for cookie in cookies
        )
        last = HEAD + b"Connection: close\r\n\r\n"
        return await door.sends(raw + last, source=(f"127.0.5.{number}", 0))

    answers = b"".join(await asyncio.gather(*(ask(number) for number in range(1, 13))))

    assert b"HTTP/1.1 429" in answers


async def test_hundreds_of_slow_requests_and_a_thousand_idle_connections_hold_up_nobody(
    door: Door,
) -> None:
    before = len(door.log())
    idle = [*await _idle(door, encrypted=True), *await _idle(door, encrypted=False)]
    body = POST + b"Content-Length: 1000\r\n\r\n{"
    slow = [await _begun(door, HEAD) for _ in range(200)]
    slow += [await _begun(door, body) for _ in range(150)]
    for _ in range(5):
        await _is_served(door, THIRD)

    # All of them are ended, and none of what began reaches a service.
    async with asyncio.timeout(90):
        await asyncio.gather(*(_end(reader) for reader, _ in (*idle, *slow)))

    def said() -> list[dict[str, str]]:
        lines = door.log()[before:]
        return [each for each in lines if "POST /api/order" in each["message"]]

    async def all_said() -> bool:
        return len(said()) == 150

    await eventually(all_said, "all are in the access log")
    assert {each["message"][-3:] for each in said()} <= {"408", "429"}
    assert {each["by"] for each in said()} == {""}
    for _, writer in (*idle, *slow):
        writer.transport.abort()


async def _idle(door: Door, *, encrypted: bool) -> list[Connection]:
    return [
        await door.connects((f"127.0.8.{1 + number % 50}", 0), encrypted=encrypted)
        for number in range(500)
    ]


async def _begun(door: Door, begin: bytes) -> Connection:
    reader, writer = await door.connects(FOURTH)
    writer.write(begin)
    return reader, writer


async def _end(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        await reader.read()


@pytest.mark.parametrize(
    "length", [b"Content-Length: 70000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n11170\r\n"]
)  # fmt: skip
async def test_a_body_that_is_too_large_is_refused_whether_it_says_its_length_or_not(
    length: bytes, door: Door
) -> None:
    answer = await door.sends(
        POST + length + b"x" * 70000 + b"\r\n0\r\n\r\n", source=THIRD
    )

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"urn:problem-type:body-too-large" in answer


async def test_a_compressed_body_is_refused_and_not_inflated(door: Door) -> None:
    bomb = gzip.compress(b"0" * 40_000_000)
    assert len(bomb) < 64 * 1024
    head = POST + b"Content-Encoding: gzip\r\nConnection: close\r\n"

    answer = await door.sends(
        head + f"Content-Length: {len(bomb)}\r\n\r\n".encode() + bomb, source=THIRD
    )

    assert answer.startswith(b"HTTP/1.1 415")
    assert b"urn:problem-type:unsupported-media-type" in answer


async def test_a_header_that_is_too_large_is_refused(door: Door) -> None:
    answers = [
        await door.sends(HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n", source=THIRD),
        await door.sends(
            b"GET /?" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", source=THIRD
        ),
    ]

    assert [each[9:12] for each in answers] == [b"431", b"414"]
    assert all(b"application/problem+json" in each for each in answers)


async def test_live_pages_of_one_address_are_bounded(door: Door) -> None:
    live = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    opened = [await door.connects(OTHER) for _ in range(12)]
    try:
        begins = []
        for reader, writer in opened:
            writer.write(live)
            begins.append(await asyncio.wait_for(reader.read(12), 60))
    finally:
        for _, writer in opened:
            writer.transport.abort()

    assert Counter(begins) == {b"HTTP/1.1 200": 10, b"HTTP/1.1 429": 2}
