"""What customers are told when a part behind the door is away, and that it works again without a hand's turn."""

import asyncio
import os
import ssl
from pathlib import Path

import httpx
import pytest

from tests.support.door import Door, before, is_answered
from tests.support.eventually import eventually
from toolchain import runfile
from toolchain.machine import this_machine
from toolchain.runfile import ROOT
from toolchain.servers import gateway

pytestmark = pytest.mark.system

KEY = {"Idempotency-Key": "01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"}
ORDER = {"customerName": "Jane Doe"}
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize("part", ["app", "its sidecar", "the gateway's sidecar"])
async def test_a_part_that_is_away_is_a_502_and_works_again_when_it_is_back(
    part: str, door: Door
) -> None:
    of = door.real.apps if part == "app" else door.real.sidecars
    away = of["gateway" if part.startswith("the gateway") else "order"]
    await asyncio.to_thread(away.stop)

    async with door.client() as client:
        document = await client.post("/api/order", json=ORDER, headers=KEY)
        page = await client.get("/", headers=HTML)
        away.start()
        await is_answered(door, "/")
        again = await client.post("/api/order", json=ORDER, headers=KEY)

    assert document.status_code == page.status_code == 502
    assert document.headers["content-type"] == "application/problem+json"
    assert document.json()["type"] == "urn:problem-type:bad-gateway"
    assert document.json()["requestId"] == document.headers["x-request-id"]
    assert document.headers["retry-after"] == "1"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>The service does not answer.</h1>" in page.text
    for each in (document, page):
        assert not [word for word in INSIDE if word in each.text.lower()]
    assert again.status_code == 201


INSIDE = ("dapr", "127.0.0.1", "invoke", "connection refused", "nginx", "rpc")


async def test_a_gateway_that_is_killed_is_started_again(door: Door) -> None:
    nginx = door.real.apps["gateway"]
    (before,) = nginx.pids()

    await nginx.kill()

    async def is_another() -> bool:
        return len(nginx.pids() - {before}) == 1

    # Until it is noticed, what it had started serves on.
    await eventually(is_another, "nginx is started again")
    await is_answered(door, "/")


async def test_an_order_placed_through_the_door_is_found_where_the_answer_says(
    door: Door,
) -> None:
    async with door.client() as client:
        placed = await client.post("/api/order", json=ORDER)
        found = await client.get(placed.url.join(placed.headers["location"]))
        head = await client.head(placed.url.join(placed.headers["location"]))

    assert found.json()["customerName"] == "Jane Doe"
    assert (head.status_code, head.content) == (200, b"")


async def test_what_a_service_refuses_is_answered_in_its_own_words(door: Door) -> None:
    async with door.client() as client:
        asked = [
            await client.post("/api/order", json={}),
            await client.post("/api/order", content=b"{", headers=JSON),
            await client.get("/api/order/01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"),
            await client.post("/api/order/01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"),
        ]

    said = [
        (each.status_code, each.json()["type"].rpartition(":")[2]) for each in asked
    ]
    assert said == [
        (422, "invalid-request"),
        (400, "malformed-json"),
        (404, "order-not-found"),
        (405, "method-not-allowed"),
    ]
    assert all("requestId" not in each.json() for each in asked)


JSON = {"Content-Type": "application/json"}


async def test_a_live_page_is_passed_on_as_it_is_written(door: Door) -> None:
    async with (
        door.client() as client,
        client.stream("GET", "/live") as stream,
        door.client() as other,
    ):
        parts = stream.aiter_text()
        first = await asyncio.wait_for(anext(parts), 60)
        placed = await other.post("/api/order", json={"customerName": "Grace Hopper"})
        seen = first

        async def is_shown() -> bool:
            nonlocal seen
            seen += await asyncio.wait_for(anext(parts), 60)
            return placed.json()["orderId"] in seen

        await eventually(is_shown, "the new order is in the stream")


async def test_plain_http_is_refused_with_a_problem_document(door: Door) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{door.port}/api/order")

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:problem-type:bad-request"


async def test_an_old_version_of_tls_is_refused(door: Door) -> None:
    spoken = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
        *("-connect", f"localhost:{door.port}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(spoken.communicate(), 60)

    assert b"alert protocol version" in said


async def _is_silent(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read()
    writer.close()


async def test_a_service_that_takes_too_long_is_a_504(tmp_path: Path) -> None:
    shorter = ("proxy_read_timeout 60s", "proxy_read_timeout 200ms")
    async with before(tmp_path, _is_silent, shorter) as door, door.client() as client:
        answer = await client.get("/api/order")

    assert answer.status_code == 504
    assert answer.json()["type"] == "urn:problem-type:gateway-timeout"


READ_IN_ANOTHER_WAY = (
    *("/events", "/api/../events", "/%65vents", "//events", "/events#x", "*", "events"),
    *("/api/order /events", "/api/order\\..\\events", "http://order/events"),
    *("/notifications/events/OrderCreated", "/api/order/"),
)


async def test_no_path_over_http_2_is_read_in_another_way(door: Door) -> None:
    command = ["curl", "--silent", "--http2", "--insecure", "--noproxy", "*"]
    statuses = []
    for each in (*READ_IN_ANOTHER_WAY, "/api/order"):
        asked = await asyncio.create_subprocess_exec(
            *(*command, "--request-target", each, "--output", os.devnull),
            *("--write-out", "%{http_code} %{http_version}", door.url),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asyncio.wait_for(asked.communicate(), 60)
        statuses.append(said.decode())

    assert statuses[-1] == "200 2"
    refused = {"404 2", "400 2", "405 2", "000 2", "000 0"}
    assert set(statuses[:-1]) <= refused, statuses


async def test_a_certificate_that_was_renewed_is_read_at_a_hangup(door: Door) -> None:
    system = runfile.with_gateway(door.real.system)
    before = await asyncio.to_thread(
        ssl.get_server_certificate, ("localhost", door.port)
    )
    gateway.write(this_machine(), system)
    renewed = gateway.certificate_of(system)
    door.tls.load_verify_locations(renewed)

    page = (ROOT / "docs" / "gateway.md").read_text()
    command = next(each for each in page.split("`") if each.startswith("kill -HUP"))
    here = str(gateway.certificate_of(system).parent)
    typed = ["sh", "-c", command.replace(".local/gateway", here)]
    assert await (await asyncio.create_subprocess_exec(*typed)).wait() == 0

    async def is_served() -> bool:
        at = ("localhost", door.port)
        served = await asyncio.to_thread(ssl.get_server_certificate, at)
        return served != before and served.strip() == renewed.read_text().strip()

    await eventually(is_served, "the new certificate is served")
    await is_answered(door, "/")


async def test_the_app_says_which_methods_a_path_has_and_no_unknown_one_reaches_it(
    door: Door,
) -> None:
    async with door.client() as client:
        known = [
            await client.request(each, "/api/order") for each in ("PUT", "OPTIONS")
        ]
        unknown = [
            await client.request(each, "/api/order") for each in ("TRACE", "QUERY")
        ]

    assert {(each.status_code, each.headers["allow"]) for each in known} == {
        (405, "GET, POST, HEAD")
    }
    assert {each.json()["type"] for each in unknown} == {
        "urn:problem-type:not-implemented"
    }
    assert {each.status_code for each in unknown} == {501}
