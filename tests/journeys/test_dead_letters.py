"""What the broker delivers and is no order of ours is kept, once each, and holds nobody up."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from chassis.inbox.dead_letter import MAX_BODY
from tests.support.delivering import order_created
from tests.support.eventually import eventually
from tests.support.losses import published_raw
from tests.support.shop import Customer, Shop
from tests.support.simulated_delivery import as_delivered
from toolchain.runfile import ROOT

pytestmark = pytest.mark.system
T = TypeVar("T")

REASONS = {
    "bytes that are no JSON": "no reaction subscribes to it",
    "an array": "no reaction subscribes to it",
    "JSON that is no event": "it is no valid CloudEvent",
    "an event of 300 KB": "are the most (cut off: it has",
    "an event that is not signed": "it is not signed",
    "an event that was altered": "it is altered, or signed with an unknown key",
    "an event from another service": "its source is '/notification', not '/order'",
    "an event of another type": "it is 'OrderShipped' (",
}


def strange() -> dict[str, bytes]:
    """Return one of each, unlike any other, and written as a bulk delivery has it."""
    mark = str(uuid4())
    order = order_created()
    events = {
        "an array": [mark],
        "JSON that is no event": {"mark": mark},
        "an event of 300 KB": {**order, "mark": mark, "more": "x" * 300_000},
        "an event that is not signed": {**order, "signature": "", "mark": mark},
        "an event that was altered": {**order, "correlationid": mark},
        "an event from another service": order_created(source="/notification"),
        "an event of another type": order_created(type="OrderShipped"),
    }
    as_json = {name: json.dumps(each).encode() for name, each in events.items()}
    written = {name: as_delivered(body) or body for name, body in as_json.items()}
    return {"bytes that are no JSON": b"\xff\xfe" + mark.encode(), **written}


async def letters(shop: Shop) -> list[dict[str, Any]]:
    """Return the newest dead letters of the notification service."""
    port = shop.system.system.app("notification")["appPort"]
    answer = await shop.http.get(f"http://127.0.0.1:{port}/api/dead-letter?limit=200")
    return list(answer.json()["items"])


async def test_what_is_no_order_is_one_dead_letter_and_the_next_order_is_notified(
    shop: Shop, customer: Customer
) -> None:
    bodies = await arrived(shop)

    for _ in range(3):
        await customer.is_notified(await shop.orders("Jane Doe"))

    found = await letters(shop)
    for name, body in bodies.items():
        (letter,) = [each for each in found if each["body"] == shown(body)]
        assert REASONS[name] in letter["reason"]


async def arrived(shop: Shop) -> dict[str, bytes]:
    """Publish one of each, until each is kept."""

    async def attempt() -> dict[str, bytes]:
        bodies = strange()
        for body in bodies.values():
            await published_raw(shop, body)

        async def kept() -> bool:
            there = {each["body"] for each in await letters(shop)}
            return {shown(body) for body in bodies.values()} <= there

        await eventually(kept, "each is kept", deadline=20)
        return bodies

    return await tried_thrice(shop, attempt)


async def tried_thrice(shop: Shop, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again what the broker loses, as no outbox keeps it, with a sidecar that was restarted.

    In the sidecar that was there, RabbitMQ's component may have a consumer that nobody reads.
    """
    for _ in range(2):
        with suppress(AssertionError):
            return await attempt()
        await shop.system.sidecars["notification"].kill()
        await shop.system.is_ready()
    return await attempt()


def shown(body: bytes) -> str:
    """Return a body as the API shows it."""
    return body[:MAX_BODY].decode(errors="backslashreplace")


async def test_an_authentic_event_is_handled_whoever_published_it(
    shop: Shop, customer: Customer
) -> None:
    """`published_raw` reaches the inbox, so what it brings is refused only for what it is."""
    event = order_created()
    url = f"{shop.system.system.invoke_url('notification')}/api/notification/{event['subject']}"

    async def attempt() -> bool:
        await published_raw(shop, json.dumps(event).encode())
        return await eventually(sent, "its customer is notified", deadline=20)

    async def sent() -> bool:
        answer = await shop.http.get(url)
        return answer.status_code == 200 and answer.json()["state"] == "SENT"

    assert await tried_thrice(shop, attempt)


async def test_an_operator_finds_a_dead_letter_tries_it_again_and_discards_it(
    shop: Shop,
) -> None:
    """The command line, through a sidecar that is another service's."""
    bodies = await arrived(shop)
    letter = await found(shop, bodies["an event of another type"])
    altered = await found(shop, bodies["an event that was altered"])

    listed = await typed(shop, 0, "list")
    assert {letter, altered} <= {line.split()[0] for line in listed}
    (one,) = [json.loads("".join(await typed(shop, 0, "show", letter)))]
    assert (one["id"], one["state"]) == (int(letter), "OPEN")
    still, unsafe, summary = await typed(
        shop, 1, "replay", letter, altered, "--by", "jane"
    )
    assert still.startswith(f"{letter}: failed: it is 'OrderShipped'")
    assert unsafe.startswith(f"{altered}: failed: It is not authentic")
    assert summary == "2 failed."
    why = ("--because", "A journey", "--by", "jane")
    assert await typed(shop, 0, "discard", letter, *why) == [f"{letter}: discarded"]
    (two,) = [json.loads("".join(await typed(shop, 0, "show", letter)))]
    assert (two["state"], two["attempts"]) == ("DISCARDED", one["attempts"] + 1)


async def found(shop: Shop, body: bytes) -> str:
    """Return the id of the dead letter with this body."""
    there = await letters(shop)
    (letter,) = [str(x["id"]) for x in there if x["body"] == shown(body)]
    return letter


async def typed(shop: Shop, status: int, *arguments: str) -> list[str]:
    """Run a command about the notification service, at the order service's sidecar; return what it prints."""
    port = shop.system.system.app("order")["daprHTTPPort"]
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chassis.dead_letters", "notification", *arguments),
        cwd=ROOT,
        env={"DAPR_HTTP_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(command.communicate(), 60)
    assert command.returncode == status, output
    return output.decode().splitlines()
