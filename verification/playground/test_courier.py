"""The courier drops, duplicates and delays messages, and lets all else pass."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random

import aiohttp
import pytest
from aiohttp import web

from toolchain.runfile import free_port
from verification.playground.courier import Courier, open_courier

ONE = {"id": "1", "type": "OrderCreated", "data": {}}
TWO = {"entries": [{"entryId": "a", "event": {}}, {"entryId": "b", "event": {}}]}


class Always(Random):
    """Chance that always, or never, says yes."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def random(self) -> float:
        """Return the number."""
        return self.number


class InTurns(Random):
    """Chance that says yes to every second question."""

    asked = 0

    def random(self) -> float:
        """Return the least number, then the highest."""
        self.asked += 1
        return 0.0 if self.asked % 2 else 0.999


@dataclass
class App:
    """An app that remembers what it was asked, and answers each message or entry SUCCESS."""

    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        body = await request.read()
        self.asked.append((request.method, request.path_qs, body))
        message = json.loads(body) if body else {}
        ids = [each["entryId"] for each in message.get("entries", [])]
        statuses = [{"entryId": each, "status": "SUCCESS"} for each in ids]
        return web.json_response(
            {"statuses": statuses} if ids else {"status": "SUCCESS"}
        )


@pytest.fixture
def app() -> App:
    """Make an app."""
    return App()


@pytest.fixture
async def courier(app: App) -> AsyncIterator[Courier]:
    """Run a courier before the app."""
    runner = web.ServerRunner(web.Server(app.answer), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with open_courier() as made:
            made.target = runner.addresses[0][1]
            yield made
    finally:
        await runner.cleanup()


async def delivered(courier: Courier, message: object) -> object:
    """Deliver a message as a sidecar does, and return what it is answered."""
    url = f"http://127.0.0.1:{courier.port}/events/pubsub/OrderCreated"
    async with aiohttp.ClientSession() as http, http.post(url, json=message) as answer:
        return await answer.json()


async def test_a_calm_courier_passes_everything_on(courier: Courier, app: App) -> None:
    url = f"http://127.0.0.1:{courier.port}/events?after=7&limit=2"

    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
    assert await delivered(courier, ONE) == {"status": "SUCCESS"}

    assert app.asked[0] == ("GET", "/events?after=7&limit=2", b"")
    assert json.loads(app.asked[1][2]) == ONE


async def test_a_dropped_message_is_acknowledged_and_never_arrives(
    courier: Courier, app: App
) -> None:
    courier.drops, courier.chance = True, Always(0.0)

    assert await delivered(courier, ONE) == {"status": "SUCCESS"}
    both = {"statuses": [{"entryId": e, "status": "SUCCESS"} for e in "ab"]}
    assert await delivered(courier, TWO) == both

    assert app.asked == []
    assert courier.done["dropped"] == 3


async def test_of_a_bulk_single_messages_are_dropped(
    courier: Courier, app: App
) -> None:
    courier.drops, courier.chance = True, InTurns()

    answer = await delivered(courier, TWO)

    assert isinstance(answer, dict)
    assert {each["entryId"] for each in answer["statuses"]} == {"a", "b"}
    ((_, _, body),) = app.asked
    assert [each["entryId"] for each in json.loads(body)["entries"]] == ["b"]


async def test_a_duplicated_message_arrives_twice(courier: Courier, app: App) -> None:
    courier.duplicates = True

    assert await delivered(courier, ONE) == {"status": "SUCCESS"}

    assert len(app.asked) == 2
    assert app.asked[0] == app.asked[1]


async def test_a_delayed_message_arrives_all_the_same(
    courier: Courier, app: App
) -> None:
    courier.delays, courier.chance, courier.delay = True, Always(0.0), 0.01

    assert await delivered(courier, ONE) == {"status": "SUCCESS"}

    assert courier.done["delayed"] == 1
    assert len(app.asked) == 1


async def test_an_app_that_is_gone_is_no_answer_of_the_couriers(
    courier: Courier,
) -> None:
    courier.target = free_port()

    with pytest.raises(aiohttp.ClientConnectionError):
        await delivered(courier, ONE)


async def test_what_is_no_delivery_is_never_dropped(courier: Courier, app: App) -> None:
    courier.drops, courier.chance = True, Always(0.0)
    url = f"http://127.0.0.1:{courier.port}/healthz"

    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200

    assert len(app.asked) == 1
