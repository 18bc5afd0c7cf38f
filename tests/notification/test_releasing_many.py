"""Releasing many: all that are held, or those that are named; what cannot be released holds up no other."""

import asyncio
import os
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from services.notification.commands.release_notification import ReleaseNotification
from services.notification.model import State
from services.notification.release import find_held, release_all
from tests.notification.mail_room import MailRoom
from tests.support.database import secrets_in

COMMAND = ReleaseNotification(by="Ada Lovelace", reason="After the rebuild.")


async def is_held(room: MailRoom) -> UUID:
    """Have a notification that is held."""
    order = await room.order()
    await room.set(state=State.HELD)
    return order


async def test_all_that_are_held_are_released(room: MailRoom) -> None:
    orders = [await room.order() for _ in range(5)]
    failed, sent = orders.pop(), orders.pop()
    await room.set(state=State.HELD)
    await room.set(failed, state=State.FAILED)
    await room.set(sent, state=State.SENT)

    every = await room.database.read(find_held)
    done = await release_all(room.database, every, COMMAND, 1e6, asyncio.Event())

    assert done == (len(orders), 0)
    states = {each.order_id: each.state for each in await room.all()}
    assert {states[each] for each in orders} == {State.READY}
    assert (states[failed], states[sent]) == (State.FAILED, State.SENT)


async def test_what_cannot_be_released_holds_up_no_other(
    room: MailRoom, capsys: pytest.CaptureFixture[str]
) -> None:
    order, unknown = await is_held(room), uuid4()

    orders = [unknown, order]
    done = await release_all(room.database, orders, COMMAND, 1e6, asyncio.Event())

    assert done == (1, 1)
    assert f"no notification for order {unknown}" in capsys.readouterr().err


async def test_it_ends_between_two_when_it_is_told_to_stop(room: MailRoom) -> None:
    orders = [await room.order(state=State.HELD) for _ in range(3)]
    stop = asyncio.Event()

    def stopped_after_the_first() -> Iterator[UUID]:
        for each in orders:
            yield each
            stop.set()

    stopping = stopped_after_the_first()
    done = await release_all(room.database, stopping, COMMAND, 1e6, stop)

    assert done == (1, 0)
    states = [(await room.of(each)).state for each in orders]
    assert states == [State.READY, State.HELD, State.HELD]


async def test_as_a_command_it_says_how_many(room: MailRoom) -> None:
    order = await is_held(room)

    output, status = await _command(room, str(order), "--by=Ada", "--reason=why")
    again, _ = await _command(room, "--all-held", "--by=Ada", "--reason=why")

    assert (output, status) == ("1 released, 0 refused.\n", 0)
    assert again == "0 released, 0 refused.\n"
    assert (await room.of(order)).released_by == "Ada"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--by=Ada", "--reason=why"],
        [str(uuid4()), "--all-held", "--by=Ada", "--reason=why"],
        ["--all-held", "--reason=why"],
        ["--all-held", "--by=Ada", "--reason= "],
        ["--all-held", "--by=Ada", "--reason=why", "--rate=0"],
    ],
)
async def test_a_command_that_is_none_releases_nothing(
    room: MailRoom, arguments: list[str]
) -> None:
    order = await is_held(room)

    assert (await _command(room, *arguments))[1] == 2

    assert (await room.of(order)).state == State.HELD


async def _command(room: MailRoom, *arguments: str) -> tuple[str, int | None]:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notification.release", *arguments),
        env={
            **os.environ,  # noqa: TID251 - handed on
            "DATABASE_URL": room.database.url,
            "SECRETS_FOLDER": str(secrets_in(room.folder)),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await command.communicate()
    return output.decode(), command.returncode
