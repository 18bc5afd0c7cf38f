"""The command line of dead letters: what it says, what it leaves behind, and when it stops."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.dead_letters.__main__ import carry_out
from chassis.dead_letters.client import AT_ONCE
from chassis.dead_letters.options import read
from chassis.inbox.dead_letter import Letter, bury, dead_letter
from chassis.inbox.inbox import Reaction
from chassis.runtime.rate_limit import STOPPED, at_a_rate
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from tests.support.delivering import CAUSE, deliver, order_created, rows
from tests.support.letters import REACTION, everything, kept, kept_event
from tests.support.services import Service
from verification.simulation.virtual_loop import VirtualLoop

FAST = "--rate=1000"


async def typed(service: Service, *arguments: str) -> int:
    """Type a command; give its exit status."""
    return await carry_out(read(["notification", *arguments]), service.http)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Give what the command said, without what the customers are told in the same process."""
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if not line.startswith("Notification for Order")]


async def states(service: Service) -> list[str]:
    """Give the states of all letters, in order."""
    columns = (dead_letter.c.id, dead_letter.c.state)
    return [row.state for row in sorted(await rows(service, *columns))]


async def test_a_list_is_a_line_for_each_newest_first(
    notification: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in (b"first", b"second", b"third"):
        await deliver(notification, body)

    assert await typed(notification, "list", "--limit", "2") == 0

    lines = said(capsys)
    assert [line.split()[:3] for line in lines] == [
        ["3", "OPEN", "1x"],
        ["2", "OPEN", "1x"],
    ]
    assert all(REACTION in line and "Invalid JSON" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), ["4", "1"]),
        (("--state", "discarded"), ["2"]),
        (("--state", "ALL"), ["4", "3", "2", "1"]),
        (("--reaction", REACTION), ["1"]),
    ],
)
async def test_a_list_may_be_of_one_state_or_one_reaction(
    notification: Service,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    shown: list[str],
) -> None:
    for _ in range(3):
        await kept_event(notification)
    await kept(notification, b"-", "another")
    await typed(notification, "discard", "2", "--because", "a test", "--by", "jane")
    await typed(notification, "replay", "3")
    capsys.readouterr()

    assert await typed(notification, "list", *options) == 0

    lines = said(capsys)
    assert [line.split()[0] for line in lines] == shown


async def test_a_letter_is_shown_whole_and_moves_no_cursor(
    notification: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = json.dumps({"traceid": CAUSE, "x": "Jörg"}, ensure_ascii=False)
    letter = await kept(notification, f"{forged}\x1b[2J\x9b\u202e\n".encode())

    assert await typed(notification, "show", str(letter)) == 0

    text = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in text)
    shown = json.loads(text)
    assert shown == (await notification.http.get(f"/api/dead-letter/{letter}")).json()
    assert shown["traceparent"] is None
    assert "Jörg" in text


async def test_letters_are_discarded_by_somebody_for_a_reason(
    notification: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await kept_event(notification)
    why = ("--because", "A test of the broker", "--by", "jane")

    assert await typed(notification, "discard", "1", *why) == 0
    assert await typed(notification, "discard", "1", "2", "7", *why) == 1

    assert said(capsys) == [
        "1: discarded",
        "1: not discarded: Dead letter 1 is DISCARDED already.",
        "2: discarded",
        "7: not discarded: There is no dead letter 7.",
    ]
    who = (dead_letter.c.discarded_by, dead_letter.c.discarded_because)
    assert await rows(notification, *who) == [("jane", "A test of the broker")] * 2


async def test_all_that_are_open_are_tried_oldest_first_past_those_that_still_fail(
    notification: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    came = order_created()
    bodies = [order_created(), b"{}", came, order_created()]
    for body in bodies:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await kept(notification, raw)
    await kept(notification, b"-", "gone")
    await deliver(notification, came)

    assert await typed(notification, "replay", "--all", FAST) == 1

    *lines, summary = said(capsys)
    assert [line.split(": ")[:2] for line in lines] == [
        ["1", "taken in"],
        ["2", "still fails"],
        ["3", "was taken in before"],
        ["4", "taken in"],
        ["5", "not tried"],
    ]
    assert summary == ("2 taken in, 1 was taken in before, 1 still fails, 1 not tried.")
    assert await states(notification) == [
        *("REPLAYED", "OPEN", "REPLAYED", "REPLAYED", "OPEN")
    ]


async def test_those_of_one_reaction_may_be_tried_alone(notification: Service) -> None:
    await kept_event(notification, "another")
    await kept_event(notification)

    options = ("--all", "--reaction", REACTION, FAST)
    assert await typed(notification, "replay", *options) == 0

    assert await states(notification) == ["OPEN", "REPLAYED"]


async def test_more_than_one_page_is_tried_and_each_letter_once(
    notification: Service,
) -> None:
    for number in range(AT_ONCE + 2):
        if number % 2:
            await kept(notification, b"{}")
        else:
            await kept_event(notification)

    assert await typed(notification, "replay", "--all", FAST) == 1

    columns = (dead_letter.c.state, dead_letter.c.attempts)
    assert set(await rows(notification, *columns)) == {("REPLAYED", 2), ("OPEN", 2)}
    assert len(await rows(notification, Notification.id)) == AT_ONCE // 2 + 1


async def test_what_becomes_a_dead_letter_meanwhile_is_for_another_time(
    notification: Service,
) -> None:
    there = AT_ONCE + 1
    for _ in range(there):
        await kept_event(notification)
    genuine: Reaction[Any] = notification.app.state.reactions[REACTION]
    another = Letter(REACTION, json.dumps(order_created()).encode(), "it was too early")

    async def makes_another(
        event: OrderCreated, envelope: CloudEvent, session: AsyncSession
    ) -> None:
        await genuine.act(event, envelope, session)
        await bury(session, another)

    notification.app.state.reactions[REACTION] = Reaction(OrderCreated, makes_another)

    assert await typed(notification, "replay", "--all", FAST) == 0

    assert await states(notification) == ["REPLAYED"] * there + ["OPEN"] * there


async def test_a_dry_run_of_all_leaves_nothing_behind(
    notification: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await kept_event(notification)
    await kept(notification, b"{}")
    before = await everything(notification)

    assert await typed(notification, "replay", "--all", "--dry-run", FAST) == 1

    assert await everything(notification) == before
    assert said(capsys)[-1] == (
        "2 taken in, 0 was taken in before, 1 still fails, 0 not tried. "
        "Nothing of it was kept."
    )


async def test_ctrl_c_ends_it_after_the_letter_that_is_being_tried(
    notification: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        await kept_event(notification)
    genuine: Reaction[Any] = notification.app.state.reactions[REACTION]

    async def interrupted(
        event: OrderCreated, envelope: CloudEvent, session: AsyncSession
    ) -> None:
        await genuine.act(event, envelope, session)
        if (await session.execute(update(Notification).values(attempt=0))).rowcount > 1:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    notification.app.state.reactions[REACTION] = Reaction(OrderCreated, interrupted)

    assert await typed(notification, "replay", "--all", "--rate", "20") == STOPPED

    assert await states(notification) == ["REPLAYED", "REPLAYED", "OPEN"]
    assert said(capsys)[-1].startswith("2 taken in, ")


def test_so_many_letters_a_second_are_tried_and_no_more() -> None:
    async def letters() -> AsyncIterator[int]:
        for each in range(21):
            if each == 10:
                await asyncio.sleep(5)  # a page that is slow, in virtual time
            yield each

    async def tried() -> float:
        began = asyncio.get_running_loop().time()
        async for _ in at_a_rate(letters(), 4.0, asyncio.Event()):
            pass
        return asyncio.get_running_loop().time() - began

    loop = VirtualLoop()
    took = loop.run_until_complete(tried())
    loop.clear()

    assert took == pytest.approx(9 / 4 + 5 + 10 / 4)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            httpx.Response(200),
            "The answer was 200 ",
        ),
        (
            httpx.Response(200, json=[]),
            "The answer was 200 []",
        ),
        (
            httpx.Response(
                500, json={"errorCode": "ERR_DIRECT_INVOKE", "message": "failed"}
            ),
            'The answer was 500 {"errorCode":"ERR_DIRECT_INVOKE","message":"failed"}',
        ),
        (
            httpx.Response(503, json={"type": "urn:x", "detail": "It is away."}),
            "It is away.",
        ),
        (httpx.Response(404, text="Not Found"), "The answer was 404 Not Found"),
    ],
)
async def test_a_service_that_is_not_heard_is_said_and_can_be_asked_again(
    capsys: pytest.CaptureFixture[str], answer: httpx.Response, told: str
) -> None:
    transport = httpx.MockTransport(lambda _request: answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        for arguments in (["list"], ["show", "1"], ["replay", "1"]):
            assert await carry_out(read(["notification", *arguments]), http) == 75
            assert capsys.readouterr().err == f"{told}\n"
