"""The pages of dead letters: they show what the API knows, and their forms do what it does, without script."""

import asyncio
import json
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.inbox.dead_letter import DeadLetter, store
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.delivering import order_created, signed
from tests.support.eventually import eventually
from tests.support.services import Service

OWN = {"sec-fetch-site": "same-origin"}
WHY = {"by": "Jane Doe", "reason": "The bug is mended"}
EVIL = "<script>alert(1)</script> \u202e\x1b[2J " + "x" * 190


async def kept(service: Service, *bodies: bytes, reason: str = "too early") -> None:
    """Store a dead letter of each body."""
    for body in bodies:
        letter = DeadLetter(reaction.name, body, reason)
        await service.database.write(lambda session: store(session, letter))  # noqa: B023


def event(**data: Any) -> bytes:  # noqa: ANN401 - any data
    """Return an authentic event with other data."""
    made = order_created()
    return json.dumps(signed({**made, "data": {**made["data"], **data}})).encode()


async def shown(service: Service, path: str) -> str:
    """Return a page."""
    answer = await service.http.get(f"/dead-letters{path}")
    assert answer.status_code == 200, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


async def sent(service: Service, path: str, **fields: str) -> httpx.Response:
    """Send a form."""
    given = {"idempotencyKey": str(uuid4()), **fields}
    return await service.http.post(f"/dead-letters{path}", data=given, headers=OWN)


async def group(service: Service) -> str:
    """Return the address of the only group."""
    (found,) = set(re.findall(r"groups/[0-9a-f]{16}", await shown(service, "")))
    return f"/{found}"


async def letter(service: Service, number: int = 1) -> dict[str, Any]:
    """Return a letter as the API shows it."""
    answer = await service.http.get(f"/api/dead-letter/{number}")
    return dict(answer.json())


async def test_whatever_came_is_shown_and_none_of_it_is_markup(
    notification: Service,
) -> None:
    odd = [EVIL.encode(), b"\xff\0", b"[7]", b"[" * 60_000, b"null", b'{"data": null}']
    await kept(notification, *odd, event(customerName=EVIL), reason=EVIL)

    pages = [await shown(notification, f"/{each}") for each in range(1, 8)]
    pages += [
        await shown(notification, each) for each in ("", await group(notification))
    ]

    for each in pages:
        assert "<script>alert" not in each
        assert not set(each) & set("\u202e\x1b\0")


async def test_a_letter_is_run_dry_replayed_and_shows_by_whom(
    notification: Service,
) -> None:
    await kept(notification, event())

    dry = await sent(notification, "/1/dry-run")
    assert "It would be handled." in dry.text
    assert (await letter(notification))["state"] == "OPEN"
    nobody = await sent(notification, "/1/replay")
    assert nobody.status_code == 422
    assert "Field required" in nobody.text
    answer = await sent(notification, "/1/replay", by="Jane Doe")
    assert (answer.status_code, answer.headers["location"]) == (303, "../1")

    page = await shown(notification, "/1")
    assert "REPLAYED" in page
    assert "Jane Doe" in page


async def test_a_letter_that_fails_says_why_dry_and_replayed(
    notification: Service,
) -> None:
    await kept(notification, event(customerName=""))

    dry = await sent(notification, "/1/dry-run")
    real = await sent(notification, "/1/replay", by="Jane Doe")

    why = "it is no valid OrderCreated (customerName: String should"
    assert f"It would fail: {why}" in dry.text
    assert f"It still fails: {why}" in real.text
    assert (dry.status_code, real.status_code) == (200, 422)
    assert (await letter(notification))["attempts"] == 2


async def test_an_edit_is_checked_at_its_field_and_then_replayed(
    notification: Service,
) -> None:
    await kept(notification, event(customerName=""))
    data = json.loads((await letter(notification))["body"])["data"]
    wrong = json.dumps({**data, "customerName": "x" * 201})

    for given, error in (
        (wrong, "data.customerName: String should have at most 200 characters"),
        ("{", "data: is no JSON"),
        ("[]", "data: Input should be a valid dictionary"),
    ):
        answer = await sent(notification, "/1/edit", data=given, **WHY)
        assert answer.status_code == 422
        assert error in answer.text
    mended = json.dumps({**data, "customerName": "Jörg"})
    assert (await sent(notification, "/1/edit", data=mended, **WHY)).status_code == 303

    page = await shown(notification, "/1")
    assert page.count("Jörg") >= 2
    assert "As it came" in page
    assert (await sent(notification, "/1/replay", by="Jane")).status_code == 303


async def test_a_letter_is_discarded_and_opened_again(notification: Service) -> None:
    await kept(notification, event())

    assert (await sent(notification, "/1/discard", by="Jane")).status_code == 422
    assert (await sent(notification, "/1/discard", **WHY)).status_code == 303
    assert "Open it again" in await shown(notification, "/1")
    assert (await sent(notification, "/1/restore", **WHY)).status_code == 303
    assert (await letter(notification))["state"] == "OPEN"


async def test_a_group_is_replayed_and_its_page_shows_what_became_of_each(
    notification: Service,
) -> None:
    await kept(notification, *[event() for _ in range(3)])
    address = await group(notification)

    wrong = await sent(notification, address, act="REPLAY", rate="0", by="Jane")
    assert wrong.status_code == 422
    fast = {"act": "REPLAY", "rate": "1000", "tolerate": "10", **WHY}
    answer = await sent(notification, address, **fast)
    assert answer.headers["location"] == "../runs/1"

    async def done() -> bool:
        return "DONE" in await shown(notification, "/runs/1")

    await eventually(done, "the run is done", deadline=20)
    page = await shown(notification, "/runs/1")
    assert page.count("REPLAYED") == 3
    assert page.count("would be handled") == 3
    assert "Run 1" in await shown(notification, f"{address}?state=REPLAYED")


async def test_a_run_is_stopped_on_its_page(notification: Service) -> None:
    await kept(notification, *[event() for _ in range(3)])
    slow = {"act": "REPLAY", "rate": "0.1", "tolerate": "10", **WHY}
    await sent(notification, await group(notification), **slow)

    assert (await sent(notification, "/runs/1", by="Joe")).status_code == 422
    assert (await sent(notification, "/runs/1", **WHY)).status_code == 303

    assert "Jane Doe: The bug is mended" in await shown(notification, "/runs/1")


async def test_a_run_is_shown_live(notification: Service) -> None:
    await kept(notification, event())
    fast = {"act": "DRY_RUN", "rate": "1000", "tolerate": "10", **WHY}
    await sent(notification, await group(notification), **fast)
    live = notification.app.state.live
    asked = asyncio.create_task(notification.http.get("/dead-letters/runs-live/1"))

    async def is_streaming() -> bool:
        return any(hub.newest for hub in live.hubs.values())

    await eventually(is_streaming, "it streams", deadline=20)
    live.stop()

    assert "How far it is" in (await asked).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/7", 404), ("/0", 422), ("/x", 422), ("/runs/7", 404)),
        *(("/groups/0123456789abcdef", 404), ("/groups/x", 422)),
        *(("?cursor=x", 422), ("?settled=perhaps", 422)),
    ],
)
async def test_what_is_not_there_is_a_page_too(
    notification: Service, path: str, status: int
) -> None:
    answer = await notification.http.get(f"/dead-letters{path}")

    assert answer.status_code == status
    assert "<h1>" in answer.text


async def test_many_letters_are_shown_a_page_at_a_time(notification: Service) -> None:
    await kept(notification, *[event() for _ in range(51)])
    address = await group(notification)

    first = await shown(notification, address)
    (older,) = re.findall(r"cursor=(\d+)", first)
    second = await shown(notification, f"{address}?cursor={older}")

    assert (first.count(">Letter "), second.count(">Letter ")) == (50, 1)
