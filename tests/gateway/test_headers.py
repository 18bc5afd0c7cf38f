"""What of a request reaches the sidecar, byte for byte, and what an answer says to a browser."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tests.support.door import Door, before

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    b"Server: uvicorn\r\nTraceparent: 00-1-2-01\r\nTracestate: x\r\n"
    b"X-Accel-Redirect: /problem.json\r\n\r\n{}"
)
PLAIN = b"GET /api/order HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


@dataclass
class Recorder:
    """A sidecar that answers everything, and keeps what it was sent."""

    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of a connection."""
        while head := await _head(reader):
            length = re.search(r"(?i)\r\ncontent-length: (\d+)", head)
            self.heads.append(head)
            self.bodies.append(
                await reader.readexactly(int(length[1]) if length else 0)
            )
            writer.write(ANSWER)
        writer.close()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


@pytest.fixture(scope="module")
def sidecar() -> Recorder:
    """Make a sidecar that records."""
    return Recorder()


@pytest.fixture(scope="module")
async def recorded(
    tmp_path_factory: pytest.TempPathFactory, sidecar: Recorder
) -> AsyncIterator[Door]:
    """Open a door to it."""
    async with before(tmp_path_factory.mktemp("recorded"), sidecar) as door:
        yield door


async def _passed_on(door: Door, sidecar: Recorder, raw: bytes) -> str:
    sidecar.heads.clear()
    answer = await door.sends(raw)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return sidecar.heads[-1]


def _names(head: str) -> set[str]:
    return {line.partition(":")[0].lower() for line in head.splitlines()[1:] if line}


async def test_headers_that_only_the_inside_may_set_do_not_arrive(
    recorded: Door, sidecar: Recorder
) -> None:
    forged = (
        b"dapr-caller-app-id: notification\r\ndapr-api-token: x\r\ndapr-app-id: notification\r\n"
        b"Dapr-Caller-Namespace: x\r\ntraceparent: 00-00000000000000000000000000000001-1-01\r\n"
        b"tracestate: x\r\nbaggage: x\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=x\r\n"
        b"X-Original-URL: /events\r\nX-Rewrite-URL: /events\r\nX-HTTP-Method-Override: DELETE\r\n"
        b"Proxy-Authorization: x\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
        b"X_Request_Id: x\r\nRange: bytes=0-1\r\nReferer: /?find=Jane\r\n"
    )

    head = await _passed_on(recorded, sidecar, PLAIN + forged + b"\r\n")

    assert head.startswith("GET /v1.0/invoke/order/method/api/order HTTP/1.1\r\n")
    assert _names(head) == {"host", "traceparent"}
    assert "\r\nHost: 127.0.0.1\r\n" in head


async def test_what_the_connection_header_nominates_arrives_all_the_same(
    recorded: Door, sidecar: Recorder
) -> None:
    nominated = (
        b"Authorization: Bearer a\r\nConnection: authorization, host, traceparent\r\n"
    )

    head = await _passed_on(recorded, sidecar, PLAIN + nominated + b"\r\n")

    assert "\r\nAuthorization: Bearer a\r\n" in head
    assert _names(head) == {"host", "traceparent", "authorization"}


async def test_the_request_id_is_the_id_of_the_trace_and_in_the_log(
    recorded: Door, sidecar: Recorder
) -> None:
    raw = PLAIN + b"X-Request-Id: 1\r\n\r\n"
    sidecar.heads.clear()

    answer = (await recorded.sends(raw)).decode()

    found = re.search(r"\r\nX-Request-Id: ([0-9a-f]{32})\r\n", answer)
    assert found
    assert f"\r\ntraceparent: 00-{found[1]}-{found[1][:16]}-01\r\n" in sidecar.heads[-1]
    await recorded.logs(found[1])


async def test_a_query_is_passed_on_as_it_was_sent(
    recorded: Door, sidecar: Recorder
) -> None:
    query = "?find=Zo%C3%AB%20%26%0d%0aX:1&a=/../events"
    raw = PLAIN.replace(b"api/order", query.encode()) + b"\r\n"

    head = await _passed_on(recorded, sidecar, raw)

    line = f"GET /v1.0/invoke/order/method/{query} HTTP/1.1"
    assert head.split("\r\n")[0] == line


async def test_the_access_log_has_no_query_no_token_and_no_whole_address(
    recorded: Door,
) -> None:
    secret = b"Authorization: Bearer xxx.yyy.zzz\r\nCookie: order-session=www\r\nReferer: /?find=Jane\r\n"
    for path in (b"/?find=Jane", b"/api/order/Jane", b"/Jane@example.org"):
        raw = (
            b"GET "
            + path
            + b" HTTP/1.1\r\nHost: jane.example.org\r\nConnection: close\r\n"
        )
        await recorded.sends(raw + secret + b"\r\n")

    async with recorded.client() as client:
        last = await client.get("/")
    said = await recorded.logs(last.headers["x-request-id"])

    assert recorded.log()[-1]["of"] == "127.0.0.0"
    for each in ("ane", "xxx.yyy", "www", "127.0.0.1"):
        assert each not in said


async def test_an_answer_says_what_a_browser_may_do_and_nothing_of_the_inside(
    recorded: Door,
) -> None:
    async with recorded.client() as client:
        answer = await client.get("/api/order")
        refused = await client.get("/nothing")

    for each in (answer, refused):
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in each.headers["content-security-policy"]
        assert each.headers["server"] == "nginx"
        assert "strict-transport-security" not in each.headers
        assert not {"traceparent", "tracestate", "via"} & {*each.headers}
    assert answer.json() == {}


SMUGGLED = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": b"Content-Length: +5\r\n\r\nhello",
    "a space before the colon": b"Content-Length : 5\r\n\r\nhello",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding that hides": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk": b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
    "a NUL in a header": b"Accept: a\x00b\r\n\r\n",
    "two hosts": b"Host: order\r\n\r\n",
}


@pytest.mark.parametrize("what", SMUGGLED)
async def test_a_request_that_two_parsers_may_read_in_two_ways_is_refused(
    what: str, recorded: Door, sidecar: Recorder
) -> None:
    sidecar.heads.clear()
    begin = b"POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

    answer = await recorded.sends(begin + SMUGGLED[what])

    assert answer[9:12] in {b"400", b"501"}, answer
    assert sidecar.heads == []


async def test_a_header_that_no_sidecar_can_carry_is_refused_with_a_problem_document(
    recorded: Door, sidecar: Recorder
) -> None:
    sidecar.heads.clear()

    async with recorded.client() as client:
        headers = {b"Idempotency-Key": "\x84".encode()}
        answer = await client.post("/api/order", json={}, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:problem-type:bad-request"
    assert sidecar.heads == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"GET / HTTP/0.9",
            b"GET / HTTP/2.0",
            b"GET /api/order",
            b"GET\x00/ HTTP/1.1",
        ),
        *(b"get / HTTP/1.1", b"GET  http://x:y/ HTTP/1.1", b"TRACE / HTTP/1.1"),
        *(b"CONNECT order:80 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"PRI * HTTP/2.0"),
    ],
)
async def test_a_request_line_of_another_kind_is_refused(
    line: bytes, recorded: Door, sidecar: Recorder
) -> None:
    sidecar.heads.clear()

    await recorded.sends(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert sidecar.heads == []
