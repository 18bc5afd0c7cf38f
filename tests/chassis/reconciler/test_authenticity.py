"""An event of a feed that is not authentic holds the cursor and alarms: somebody has changed the database."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chassis.inbox.parse import NotAuthentic
from chassis.reconciler.grace_period import SHORTEST
from chassis.signature import SigningKeys
from tests.support.database import KEYS
from tests.support.feeds import order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


def forged(how: str) -> str:
    """Return an event that nobody signed so."""
    envelope = order_created()[1]
    return json.dumps(_changed(how, envelope))


def _changed(how: str, envelope: dict[str, Any]) -> dict[str, Any]:
    if how == "unsigned":
        return {**envelope, "signature": ""}
    if how == "altered":
        data = {**envelope["data"], "customerName": "Eve"}
        return {**envelope, "data": data}
    if how == "of another producer":
        another = {**envelope, "source": "/notification"}
        return {**another, "signature": KEYS.sign(another)}
    signature = SigningKeys.generate().sign(envelope)
    return {**envelope, "signature": signature}


@pytest.mark.parametrize(
    "how", ["unsigned", "altered", "of another key", "of another producer"]
)
async def test_an_event_that_is_not_authentic_holds_the_cursor_and_alarms_once(
    pull: Pull, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    before = await pull.feed.says_orders(2)
    event = forged(how)
    await pull.feed.says_raw(event)
    await pull.feed.says_orders(1)

    await pull.step()
    pull.now += SHORTEST
    for _ in range(3):
        with pytest.raises(NotAuthentic, match=json.loads(event)["id"]):
            await pull.step()

    assert await pull.cursor() is None
    assert await pull.taken() == before
    assert await pull.dead() == []
    alarms = [each for each in caplog.records if each.levelname == "ERROR"]
    assert len(alarms) == 1
    assert json.loads(event)["id"] in alarms[0].getMessage()


async def test_what_is_behind_it_is_handled_once_it_is_put_right(pull: Pull) -> None:
    (first,) = await pull.feed.says_orders(1)
    genuine = order_created()[1]
    altered = json.dumps(_changed("altered", genuine))
    await pull.feed.says_raw(altered, event_id=genuine["id"])
    (last,) = await pull.feed.says_orders(1)
    with pytest.raises(NotAuthentic):
        await pull.catches_up()

    await pull.feed.change(2, event=json.dumps(genuine))
    await pull.catches_up()

    assert await pull.taken() == [first, genuine["id"], last]
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_it_holds_a_page_in_full_too(pull: Pull) -> None:
    await pull.feed.says_orders(150)
    await pull.feed.says_raw(forged("altered"))
    await pull.step()
    pull.now += SHORTEST
    assert await pull.step() is True

    with pytest.raises(NotAuthentic):
        await pull.step()

    assert await pull.cursor() is None
    assert len(await pull.taken()) == 150


async def test_one_that_many_missing_ones_follow_is_met_at_each_try(
    pull: Pull,
) -> None:
    """A try in between that succeeded would begin the loop's pauses again: seven tries a second."""
    pull.reconciler.full_rows = 50
    await pull.feed.says_raw(forged("altered"))
    await pull.feed.says_orders(150)
    await pull.step()
    pull.now += SHORTEST
    assert await pull.step() is True

    for _ in range(3):
        with pytest.raises(NotAuthentic):
            await pull.step()


@pytest.mark.parametrize(
    "raw",
    [
        "{}",
        '{"id": null}',
        '{"id": ["a"]}',
        '{"id": 7}',
        '{"id": "a\\u0000b"}',
        '{"id": "\\ud800"}',
        f'{{"id": "{"a" * 300}"}}',
        '{"id": ""}',
    ],
)
async def test_what_is_no_event_at_all_holds_the_cursor(pull: Pull, raw: str) -> None:
    await pull.feed.says_raw(raw)

    with pytest.raises(NotAuthentic):
        await pull.catches_up()

    assert await pull.cursor() is None
    assert (await pull.inbox(), await pull.dead()) == ([], [])


async def test_a_pushed_forgery_does_not_keep_the_genuine_event_out(pull: Pull) -> None:
    letter = order_created()
    said = await pull.feed.says(letter)
    await pull.is_pushed((letter[0], _changed("altered", letter[1])))
    assert (await pull.inbox(), len(await pull.dead())) == ([], 1)

    await pull.catches_up()

    assert await pull.taken() == said
