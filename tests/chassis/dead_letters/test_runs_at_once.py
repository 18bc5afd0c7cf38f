"""Runs, and whoever else works on the same letters at the same time: operators and replicas."""

import asyncio

from chassis.dead_letters import Runner
from chassis.dead_letters.runs import STARTED
from tests.chassis.dead_letters.letters import Letters, is_refused
from tests.chassis.dead_letters.running import (
    carried_out,
    kept,
    outcomes,
    post,
    shown,
    started,
)
from tests.chassis.dead_letters.test_groups import counts_are_true


async def test_of_two_operators_at_once_one_starts_a_run_and_the_other_is_told(
    letters: Letters,
) -> None:
    await kept(letters, 3)

    answers = await asyncio.gather(*(post(letters, "REPLAY") for _ in range(4)))

    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]
    (refused, *_) = [each for each in answers if each.status_code == 409]
    is_refused(refused, 409, "group-busy")
    (first,) = [each.json()["id"] for each in answers if each.status_code == 201]
    await carried_out(letters, first)
    is_refused(await post(letters, "REPLAY"), 409, "nothing-to-do")


async def test_two_replicas_carry_out_one_run_together(letters: Letters) -> None:
    events = await kept(letters, 30)
    run_id = await started(letters, "REPLAY")

    await asyncio.gather(*(carried_out(letters, run_id) for _ in range(3)))

    done = await shown(letters, run_id)
    assert (done["state"], done["done"], done["failures"]) == ("DONE", 30, 0)
    assert await letters.greeted() == sorted(events)
    became = [each for each in await outcomes(letters, run_id) if each[1] != "DRY_RUN"]
    assert [letter for letter, _, _ in became] == [*range(1, 31)]


async def test_a_letter_that_somebody_replays_meanwhile_has_one_effect(
    letters: Letters,
) -> None:
    events = await kept(letters, 10)
    run_id = await started(letters, "REPLAY")

    carrying_out = asyncio.create_task(carried_out(letters, run_id))
    replays = (letters.replay(each) for each in range(1, 11))
    answers = await asyncio.gather(*replays)
    await carrying_out

    assert {each.status_code for each in answers} <= {200, 409}
    by_hand = sum(each.status_code == 200 for each in answers)
    assert (await shown(letters, run_id))["done"] == 10 - by_hand
    assert await letters.greeted() == sorted(events)
    await counts_are_true(letters)


async def test_a_run_that_is_stopped_says_by_whom_and_goes_no_further(
    letters: Letters,
) -> None:
    await kept(letters, 20)
    run_id = await started(letters, "REPLAY")
    made = Runner(letters.store)
    await made.resume()
    while (await shown(letters, run_id))["done"] < 3:
        await made.step()
    url = f"/api/dead-letter-run/{run_id}/stop"

    stopped = await letters.http.post(url, json={"reason": "Mails fail", "by": "joe"})

    assert stopped.status_code == 200
    assert (stopped.json()["state"], stopped.json()["endedWhy"]) == (
        "STOPPED",
        "joe: Mails fail",
    )
    assert (await carried_out(letters, run_id))["done"] == 3
    assert len(await letters.greeted()) == 3
    again = await letters.http.post(url, json={"reason": "Mails fail", "by": "joe"})
    is_refused(again, 409, "not-running")


async def test_what_a_replica_has_left_is_found_after_a_while(letters: Letters) -> None:
    if not letters.database.is_shared:
        return  # one process has the database, and resumes when it starts
    await kept(letters, 3)
    made = Runner(letters.store)
    run_id = await started(letters, "REPLAY")
    letters.database.signal(STARTED).clear()  # another process has started it, and died

    assert not await made.step()
    made.looks_every = 0.0
    while await made.step():
        pass

    assert (await shown(letters, run_id))["done"] == 3
