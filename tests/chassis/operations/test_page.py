"""The page `/operations`: what is wrong first, live, and whole where a part does not answer."""

import asyncio
import re
from functools import partial

from sqlalchemy.orm import Session
from starlette.types import Message

from chassis.outbox.outbox import State, outbox
from tests.chassis.pages.test_pages import INLINE
from tests.support.eventually import eventually
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

HOSTILE = "<script>alert(1)</script>\u202e '\" " + "x" * 200


async def html(service: Service) -> str:
    """Return the page."""
    answer = await service.http.get("/operations")

    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not INLINE.search(answer.text)
    return answer.text


async def test_a_calm_service_says_that_nothing_is_wrong(
    notification: Service, dapr: SimulatedDapr
) -> None:
    await dapr.deliver_to(notification.app)

    page = await html(notification)

    assert "Nothing is wrong." in page
    assert "Notifications HELD" in page
    assert re.search("after \\d\u00a0s", page), "a number and its unit are on one line"
    for heading in (
        "Subscriptions",
        "Reactions",
        "Background loops",
        "What it runs on",
    ):
        assert heading in page


def park_a_hostile_one(session: Session) -> None:
    """Store a parked event that was refused with a hostile reason."""
    row = {"event_id": "1", "topic": "T", "event": "{}", "size": 2}
    session.execute(outbox.insert().values(**row, state=State.PARKED, reason=HOSTILE))


async def test_what_is_wrong_comes_before_the_figures_and_is_text(
    order: Service,
) -> None:
    await order.database.write(park_a_hostile_one)

    page = await html(order)

    assert "1 event is parked" in page
    assert page.index("1 event is parked") < page.index("Outbox")
    assert "<script>alert" not in page


async def test_a_sidecar_that_hangs_costs_the_page_its_part_alone(
    notification: Service, dapr: SimulatedDapr
) -> None:
    dapr.answering.clear()

    page = await html(notification)

    dapr.answering.set()
    assert "The sidecar: no answer within 0.8 s." in page
    assert "does not answer" in page
    assert "READY" in page


async def test_every_link_leads_somewhere_below_the_service(order: Service) -> None:
    page = await html(order)

    links = re.findall(r'(?:href|src|hx-sse:connect)="([^"#]*)"', page)
    assert "./operations-live" in links
    assert all(each.startswith("./") for each in links)


async def stream(service: Service, path: str, sent: list[str]) -> None:
    """Ask for a stream and add what is sent of it, until this is cancelled."""
    request: list[Message] = [{"type": "http.request", "body": b""}]

    async def receive() -> Message:
        if not request:
            await asyncio.Event().wait()
        return request.pop()

    async def send(message: Message) -> None:
        sent.append(message.get("body", b"").decode())

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await service.app(scope, receive, send)


async def test_the_live_part_shows_within_two_seconds_what_the_database_says(
    order: Service, dapr: SimulatedDapr
) -> None:
    dapr.available = False
    sent: list[str] = []
    watching = asyncio.create_task(stream(order, "/operations-live", sent))

    async def shows_that_waits(number: int) -> bool:
        return any(f"Outbox</dt><dd><b>{number}</b>" in each for each in sent)

    await eventually(partial(shows_that_waits, 0), "the first look is sent")
    await order.http.post("/api/order", json={"customerName": "Jane Doe"})
    await eventually(partial(shows_that_waits, 1), "one event is shown", deadline=2)
    dapr.available = True
    sent.clear()
    await eventually(partial(shows_that_waits, 0), "it is published", deadline=15)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
