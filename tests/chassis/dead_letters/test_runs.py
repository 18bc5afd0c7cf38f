"""Runs over a group: a canary grows, halts by itself, survives a kill at any moment, and is alone in its group."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from chassis.dead_letters import Runner, runner
from chassis.dead_letters.runs import LARGEST_STEP, PAUSE, run
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.reaction import inbox
from chassis.runtime import clock
from tests.chassis.dead_letters.letters import REACTION, Letters, is_refused
from tests.chassis.dead_letters.running import (
    Json,
    carried_out,
    fails_for,
    kept,
    outcomes,
    post,
    shown,
    started,
)
from tests.chassis.dead_letters.test_groups import counts_are_true
from tests.support.delivering import order_created
from tests.support.eventually import eventually


async def test_a_canary_is_a_dry_run_and_then_replays_all(letters: Letters) -> None:
    events = await kept(letters, 20)
    run_id = await started(letters, "REPLAY")

    done = await carried_out(letters, run_id)

    assert (done["state"], done["done"], done["failures"]) == ("DONE", 20, 0)
    assert await letters.greeted() == sorted(events)
    became = await outcomes(letters, run_id)
    sample = [*range(1, 9), *range(13, 21)]
    assert became[:16] == [(each, "DRY_RUN", "would be handled") for each in sample]
    assert became[16:] == [(each, "REPLAYED", "handled") for each in range(1, 21)]
    await counts_are_true(letters)


async def test_its_steps_double_up_to_a_limit(letters: Letters) -> None:
    await kept(letters, 2 * LARGEST_STEP + 20)
    run_id = await started(letters, "REPLAY")
    made, steps = Runner(letters.store), [0]
    await made.resume()

    while await made.step():
        if (step := (await shown(letters, run_id))["step"]) != steps[-1]:
            steps.append(step)

    assert steps == [0, 1, 2, 4, 8, 16, 32, 64]
    assert (await shown(letters, run_id))["done"] == 2 * LARGEST_STEP + 20


async def test_where_the_dry_run_fails_nothing_is_replayed(letters: Letters) -> None:
    await kept(letters, 20)
    before = (await letters.everything())[1:]
    fails_for(letters, lambda _: True)
    run_id = await started(letters, "REPLAY")

    halted = await carried_out(letters, run_id)

    assert (halted["state"], halted["done"], halted["failures"]) == ("HALTED", 0, 0)
    assert halted["endedWhy"] == (
        "2 of 2 letters failed in the dry run of 16: more than the 10 % that may. "
        "Nothing was replayed."
    )
    assert (await letters.everything())[1:] == before
    assert await outcomes(letters, run_id) == [
        (each, "DRY_RUN", "would fail: ZeroDivisionError:") for each in (1, 2)
    ]


async def test_it_halts_by_itself_where_failures_rise(letters: Letters) -> None:
    await kept(letters, 100)
    sample, until = 16, 40
    fails_for(letters, lambda call: call >= sample + until)
    run_id = await started(letters, "REPLAY")

    halted = await carried_out(letters, run_id)

    # 1 + 2 + 4 + 8 + 16 are done, and 9 of the step of 32: the fourth failure is more than a tenth.
    assert (halted["state"], halted["step"]) == ("HALTED", 32)
    assert (halted["done"], halted["failures"]) == (until, 4)
    open_ones = (await letters.listed("?state=OPEN&limit=200"))["items"]
    assert len(open_ones) == 60
    attempts = sorted(each["attempts"] for each in open_ones)
    assert attempts == [1] * 56 + [2] * 4
    await counts_are_true(letters)


async def test_it_goes_on_past_as_many_failures_as_are_tolerated(
    letters: Letters,
) -> None:
    await kept(letters, 40)
    fails_for(letters, lambda call: call % 2 == 0)
    run_id = await started(letters, "REPLAY", tolerate=100)

    done = await carried_out(letters, run_id)

    assert (done["state"], done["done"], done["failures"]) == ("DONE", 20, 20)
    assert done["endedWhy"] == "Every letter was tried."


async def test_what_comes_meanwhile_is_for_another_run(letters: Letters) -> None:
    await kept(letters, 3)
    run_id = await started(letters, "REPLAY")
    await kept(letters, 2)

    assert (await carried_out(letters, run_id))["done"] == 3


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Killing:
    """Kills whoever writes: before the transaction, in it before its COMMIT, after its COMMIT, in turn."""

    write: Callable[..., Any]
    moment: int = 0

    async def __call__(self, work: Callable[[Session], Any], lane: str = "") -> Any:  # noqa: ANN401 - as it is
        """Write, or be killed."""
        self.moment += 1
        where = self.moment % 4
        if where == 1:
            raise Killed
        result = await self.write(partial(self._broken, work) if where == 2 else work)
        if where == 3:
            raise Killed
        return result

    def _broken(self, work: Callable[[Session], Any], session: Session) -> None:
        work(session)
        raise ConnectionResetError


async def stepped(letters: Letters) -> bool:
    """Step the loop of a new process once; return whether it may have more to do."""
    made = Runner(letters.store)
    await made.resume()
    try:
        return await made.step()
    except (Killed, ConnectionResetError):
        return True


async def test_a_kill_at_any_moment_loses_no_letter_and_handles_none_twice(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(letters, 12)
    run_id = await started(letters, "REPLAY", tolerate=100)
    fails_for(letters, lambda call: call % 5 == 4)
    killing = Killing(letters.database.write)

    with monkeypatch.context() as patched:
        patched.setattr(letters.database, "write", killing)
        while await stepped(letters):
            assert killing.moment < 500

    done = await shown(letters, run_id)
    became = [each for each in await outcomes(letters, run_id) if each[1] != "DRY_RUN"]
    assert [letter for letter, _, _ in became] == [*range(1, 13)]
    handled = sum(act == "REPLAYED" for _, act, _ in became)
    assert (done["state"], done["done"]) == ("DONE", handled)
    assert done["failures"] == 12 - handled
    assert len(set(await letters.greeted())) == handled
    assert len(await letters.rows(inbox.c.event_id)) == handled
    await counts_are_true(letters)


async def test_a_run_is_resumed_by_the_loop_of_the_next_process(
    letters: Letters,
) -> None:
    await kept(letters, 3)
    run_id = await started(letters, "REPLAY")
    loop = Runner(letters.store).loop()
    task = asyncio.create_task(loop.run())

    async def ended() -> bool:
        return bool((await shown(letters, run_id))["state"] == "DONE")

    await eventually(ended, "the run is done", deadline=20)
    await loop.stop(task)

    assert (await shown(letters, run_id))["done"] == 3


async def test_a_group_is_discarded_in_batches_and_that_is_undone(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BATCH", 4)
    await kept(letters, 10)

    discarding = await started(letters, "DISCARD")
    assert (await carried_out(letters, discarding))["done"] == 10
    (first, *_) = (await letters.listed("?state=DISCARDED"))["items"]
    assert (first["discardedBy"], first["discardedBecause"]) == (
        "jane",
        "The bug is mended",
    )
    await counts_are_true(letters)

    restoring = await started(letters, "RESTORE")
    assert (await carried_out(letters, restoring))["done"] == 10
    await counts_are_true(letters)
    history = (await letters.http.get("/api/dead-letter/3/history")).json()["items"]
    assert [each["act"] for each in history] == ["RESTORED", "DISCARDED"]


async def test_a_dry_run_of_a_group_leaves_only_what_it_found(letters: Letters) -> None:
    await kept(letters, 5)
    before = await letters.everything()
    fails_for(letters, lambda call: call == 2)
    run_id = await started(letters, "DRY_RUN")

    done = await carried_out(letters, run_id)

    assert (done["state"], done["done"], done["failures"]) == ("DONE", 4, 1)
    assert await letters.everything() == before
    would = [outcome for _, _, outcome in await outcomes(letters, run_id)]
    assert would[2] == "would fail: ZeroDivisionError:"
    assert {*would[:2], *would[3:]} == {"would be handled"}


async def test_what_is_not_authentic_is_discarded_together_and_not_replayed(
    letters: Letters,
) -> None:
    await letters.receive(b"one", b"two")

    for act in ("REPLAY", "DRY_RUN"):
        is_refused(await post(letters, act), 409, "not-authentic-group")
    done = await carried_out(letters, await started(letters, "DISCARD"))
    assert done["done"] == 2


async def test_a_rate_is_kept(letters: Letters) -> None:
    await kept(letters, 4)
    run_id = await started(letters, "DRY_RUN", rate=20)
    began = asyncio.get_running_loop().time()

    await carried_out(letters, run_id)

    assert asyncio.get_running_loop().time() - began >= 4 / 20


async def test_a_clock_that_was_set_back_holds_no_run_up(letters: Letters) -> None:
    await kept(letters, 1)
    run_id = await started(letters, "REPLAY")
    ahead = update(run).values(due_at=clock.now() + 2 * PAUSE)
    await letters.database.write(lambda session: session.execute(ahead))

    assert (await carried_out(letters, run_id))["state"] == "DONE"


@pytest.mark.parametrize(
    "change",
    [
        *({"act": "EAT"}, {"rate": 0}, {"rate": "fast"}, {"tolerate": 101}),
        *({"by": ""}, {"reason": ""}, {"rate": 1e9}, {"tolerate": -1}, {"more": 1}),
    ],
    ids=str,
)
async def test_a_run_that_cannot_be_is_refused(letters: Letters, change: Json) -> None:
    await kept(letters, 1)

    is_refused(await post(letters, **{"act": "REPLAY", **change}), 422, "invalid-request")  # fmt: skip


async def test_a_whole_number_may_be_written_as_json_writes_any(
    letters: Letters,
) -> None:
    await kept(letters, 1)

    answer = await post(letters, act="REPLAY", tolerate=14.0)

    assert (answer.status_code, answer.json()["tolerate"]) == (201, 14)
    is_refused(await post(letters, act="REPLAY", tolerate=14.5), 422, "invalid-request")


async def test_a_run_that_is_not_there_is_said(letters: Letters) -> None:
    for path in ("7", "0", "7/letters", str(10**30)):
        answer = await letters.http.get(f"/api/dead-letter-run/{path}")
        is_refused(answer, 404, "run-not-found")


async def test_the_letters_of_other_groups_are_left_alone(letters: Letters) -> None:
    await kept(letters, 3)
    run_id = await started(letters, "REPLAY")
    other = json.dumps(order_created()).encode()
    await letters.kept(other, REACTION + "_2")

    assert (await carried_out(letters, run_id))["done"] == 3
    states = await letters.rows(dead_letter.c.reaction, dead_letter.c.state)
    assert (REACTION + "_2", "OPEN") in [tuple(each) for each in states]
    assert await letters.rows(text("count(*) FROM greeting")) == [(3,)]
