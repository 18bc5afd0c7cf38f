"""Editing a dead letter: its data alone, to what the contract accepts; what came stays beside it."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from contracts.order_created import OrderCreated
from tests.chassis.dead_letters.letters import Letters, greet, is_refused
from tests.support.delivering import order_created, signed

WHY = {"reason": "The name was empty", "by": "jane"}


async def edited(letters: Letters, letter: int, data: object) -> httpx.Response:
    """Edit a letter."""
    url = f"/api/dead-letter/{letter}/edit"
    return await letters.http.post(url, json={"data": data, **WHY})


async def history(letters: Letters, letter: int) -> list[dict[str, Any]]:
    """Return what was done to a letter, newest first."""
    answer = await letters.http.get(f"/api/dead-letter/{letter}/history")
    return list(answer.json()["items"])


async def without_a_name(letters: Letters) -> tuple[int, dict[str, Any]]:
    """Receive an authentic event that the contract does not accept; return its letter, and its data."""
    made = order_created()
    data = {**made["data"], "customerName": ""}
    await letters.receive(signed({**made, "data": data}))
    (letter,) = (await letters.listed())["items"]
    return letter["id"], data


async def test_an_edited_letter_is_replayed_with_what_the_edit_says(
    letters: Letters,
) -> None:
    names: list[str] = []

    def act(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        greet(event, envelope, session)
        names.append(event.customer_name)

    letters.act = act
    letter, data = await without_a_name(letters)
    is_refused(await letters.replay(letter), 422, "still-fails")

    answer = await edited(letters, letter, {**data, "customerName": "Jane Doe"})

    assert answer.status_code == 200
    shown = await letters.shown(letter)
    assert json.loads(shown["edited"])["customerName"] == "Jane Doe"
    assert (await letters.replay(letter)).json()["outcome"] == "handled"
    assert names == ["Jane Doe"]
    assert len(await letters.greeted()) == 1


async def test_what_came_stays_as_it_came_and_nobody_signs_the_edit(
    letters: Letters,
) -> None:
    letter, data = await without_a_name(letters)
    before = await letters.shown(letter)

    await edited(letters, letter, {**data, "customerName": "Jane Doe"})

    after = await letters.shown(letter)
    assert after["body"] == before["body"]
    assert {key for key in after if after[key] != before[key]} == {"edited"}


async def test_who_edited_what_when_and_why_is_kept(letters: Letters) -> None:
    letter, data = await without_a_name(letters)
    names = ["Jane", "Jane Doe"]
    for name in names:
        await edited(letters, letter, {**data, "customerName": name})
    await edited(letters, letter, None)

    done = await history(letters, letter)

    assert {(each["act"], each["by"], each["because"]) for each in done} == {
        ("EDITED", "jane", "The name was empty")
    }
    steps = [
        tuple(json.loads(each[key])["customerName"] for key in ("before", "after"))
        for each in done
    ]
    assert steps == [("Jane Doe", ""), ("Jane", "Jane Doe"), ("", "Jane")]
    assert (await letters.shown(letter))["edited"] is None


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"customerName": " " * 201}, "data.customerName", "at most 200 characters"),
        ({"customerName": 7}, "data.customerName", "valid string"),
        ({"customerName": "Jane", "orderId": "7"}, "data.orderId", "valid UUID"),
        ({"customerName": "Jane", "custmerEmail": "x"}, "data.custmerEmail", "no such field; it has "),
    ],
)  # fmt: skip
async def test_data_that_the_contract_does_not_accept_is_refused_by_its_field(
    letters: Letters, change: dict[str, Any], field: str, detail: str
) -> None:
    letter, data = await without_a_name(letters)
    before = await letters.shown(letter)

    answer = await edited(letters, letter, {**data, **change})

    is_refused(answer, 422, "invalid-edit")
    (fault,) = answer.json()["errors"]
    assert fault["field"] == field
    assert detail in fault["detail"]
    assert await letters.shown(letter) == before
    assert await history(letters, letter) == []


async def test_a_name_that_no_answer_can_hold_is_refused_as_any_other(
    letters: Letters,
) -> None:
    letter, _ = await without_a_name(letters)
    body = json.dumps({"data": {"\ud800": 1}, **WHY}).encode()

    answer = await letters.http.post(
        f"/api/dead-letter/{letter}/edit",
        content=body,
        headers={"content-type": "application/json"},
    )

    is_refused(answer, 422, "invalid-edit")
    assert answer.json()["errors"][0]["field"] == r"data.\xd800"


async def test_what_nobody_signed_and_what_is_another_event_is_not_edited(
    letters: Letters,
) -> None:
    forged = json.dumps(order_created(signature="")).encode()
    nobodys = await letters.kept(forged, authentic=False)
    await letters.receive(order_created(dataschema="urn:another"))
    other = (await letters.listed("?limit=1"))["items"][0]["id"]

    for letter, why in ((nobodys, "Nobody knows who wrote it"), (other, "another")):
        answer = await edited(letters, letter, {"customerName": "Jane"})
        assert why in is_refused(answer, 409, "not-editable")


async def test_what_is_settled_or_edited_by_nobody_stays_as_it_is(
    letters: Letters,
) -> None:
    letter, data = await without_a_name(letters)
    await letters.discard(letter)

    is_refused(await edited(letters, letter, data), 409, "already-settled")
    url = f"/api/dead-letter/{letter}/edit"
    for body in ({"data": data}, {**WHY}, {"data": data, **WHY, "by": ""}):
        answer = await letters.http.post(url, json=body)
        is_refused(answer, 422, "invalid-request")


async def test_an_edited_letter_has_one_effect_with_its_event_and_its_replays(
    letters: Letters,
) -> None:
    letter, data = await without_a_name(letters)
    await edited(letters, letter, {**data, "customerName": "Jane Doe"})
    event = json.loads((await letters.shown(letter))["body"])

    await letters.replay(letter)
    is_refused(await letters.replay(letter), 409, "already-settled")
    await letters.receive(event)

    assert await letters.greeted() == [event["id"]]
