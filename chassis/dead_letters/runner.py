"""The loop that carries out runs: what became of a letter, and the run's progress, are one transaction."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.dead_letters.api import Letters
from chassis.dead_letters.history import Act, action, record
from chassis.dead_letters.replay import (
    AlreadySettled,
    DeadLetterNotFound,
    DryRun,
    NotReplayable,
    StillFails,
    count_attempt,
    move,
    replay,
)
from chassis.dead_letters.runs import (
    LARGEST_STEP,
    PAUSE,
    SIGNAL,
    STARTED,
    RunAct,
    RunState,
    end,
    find_run,
    is_for,
    is_running,
    run,
)
from chassis.inbox.dead_letter import State, dead_letter
from chassis.runtime import Loop, clock

BATCH = 200
"""Letters that are discarded, or restored, in one transaction."""
BUSY = (0.02, 0.1)
"""Seconds to wait while another replica has the run."""


class _Tried(Exception):  # it rolls back what the letter did
    def __init__(
        self, found: Row[Any], letter: int, outcome: str, *, failed: bool
    ) -> None:
        super().__init__()
        self.found = found
        self.letter = letter
        self.outcome = outcome
        self.failed = failed


@dataclass
class Runner:
    """Carries out the runs of a service's dead letters."""

    letters: Letters
    # Seconds between two looks for what another replica has left, where nothing was started here.
    looks_every: float = 30.0
    _looked_at: float | None = None

    def loop(self) -> Loop:
        """Return the loop that resumes what was under way, and does what is started."""
        lock = self.database.lock_file("dead-letters")
        return Loop("dead letters", self.step, self.resume, self._signal, lock)

    @property
    def database(self) -> Database:
        """The service's database."""
        return self.letters.database

    @property
    def _signal(self) -> asyncio.Event:
        return self.database.signal(SIGNAL)

    async def resume(self) -> None:
        """Look for runs at the next step."""
        self.database.signal(STARTED).set()

    async def step(self) -> bool:
        """Try the next letter of the run that is due first; return whether there is any run."""
        started = self.database.signal(STARTED)
        if not (started.is_set() or self._is_time_to_look()):
            return False
        started.clear()
        due = await self.database.read(_next_due)
        if due is None:
            return False
        started.set()
        run_id, due_at = due
        if wait := _seconds_until(due_at):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signal.wait(), wait)
        elif not await self._advance(run_id):
            await asyncio.sleep(clock.jitter(*BUSY))
        return True

    def _is_time_to_look(self) -> bool:
        now = clock.monotonic()
        if self._looked_at is None:  # `resume` has looked when the loop began
            self._looked_at = now
        is_time = self.database.is_shared and now - self._looked_at >= self.looks_every
        if is_time:
            self._looked_at = now
        return is_time

    async def _advance(self, run_id: int) -> bool:
        try:
            return await self.database.write(lambda session: self._try(session, run_id))
        except _Tried as tried:
            outcome = tried
        await self.database.write(lambda session: _keep(session, outcome))
        return True

    def _try(self, session: Session, run_id: int) -> bool:
        found = _lock(session, run_id)
        if found is None:
            return False
        if found.act in {RunAct.DISCARD, RunAct.RESTORE}:
            _settle_batch(session, found)
        elif letter := _next_letter(session, found):
            self._replay(session, found, letter)
        else:
            end(session, run_id, RunState.DONE, "Every letter was tried.")
        return True

    def _replay(self, session: Session, found: Row[Any], letter: int) -> None:
        only_tried = found.act == RunAct.DRY_RUN or is_sample(found)
        try:
            done = replay(
                session,
                letter,
                self.letters.inbox,
                self.letters.reactions,
                dry_run=only_tried,
            )
        except DryRun as dry:
            raise _Tried(found, letter, dry.result.outcome, failed=False) from None
        except (AlreadySettled, DeadLetterNotFound):
            _progress(session, found, letter)  # somebody else did it meanwhile
        except (StillFails, NotReplayable) as error:
            raise _Tried(found, letter, str(error), failed=True) from error
        else:
            _record(session, found, letter, Act.REPLAYED, done.outcome)
            _progress(session, found, letter, done=1)


def is_sample(found: Row[Any]) -> bool:
    """Return whether a run is in the dry run that comes before its first step."""
    return bool(found.act == RunAct.REPLAY and found.step == 0)


def _next_due(session: Session) -> tuple[int, datetime] | None:
    first = select(run.c.id, run.c.due_at).where(is_running).order_by(run.c.due_at)
    found = session.execute(first.limit(1)).first()
    return (found.id, found.due_at) if found else None


def _seconds_until(due_at: datetime) -> float:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    wait = due_at - clock.now()
    return max(0.0, wait.total_seconds()) if wait <= PAUSE else 0.0


def _lock(session: Session, run_id: int) -> Row[Any] | None:
    mine = select(run).where(run.c.id == run_id, is_running)
    found = session.execute(mine.with_for_update(skip_locked=True)).first()
    # Another replica may have tried a letter since.
    return None if found is None or _seconds_until(found.due_at) else found


def _next_letter(session: Session, found: Row[Any]) -> int | None:
    if is_sample(found):
        sample: list[int] = json.loads(found.sample)
        position: int = found.tried
        return sample[position]
    found_one = _next_letters(session, found, 1)
    return found_one[0] if found_one else None


def _next_letters(session: Session, found: Row[Any], number: int) -> list[int]:
    mine = is_for(found.fingerprint, found.act)
    ids = dead_letter.c.id
    next_ones = select(ids).where(*mine, ids > found.position, ids <= found.last)
    return [*session.scalars(next_ones.order_by(ids).limit(number))]


def _keep(session: Session, tried: _Tried) -> None:
    """Record what became of a letter whose transaction was rolled back, unless its run went on meanwhile."""
    before = tried.found
    found = find_run(before.id, session, for_update=True)
    if found != before:
        return
    if found.act == RunAct.DRY_RUN or is_sample(found):
        would = "would fail: " if tried.failed else "would be "
        _record(session, found, tried.letter, Act.DRY_RUN, would + tried.outcome)
    else:
        count_attempt(session, tried.letter)
        _record(session, found, tried.letter, Act.FAILED, tried.outcome)
    done, failed = int(not tried.failed), int(tried.failed)
    _progress(session, found, tried.letter, done=done, failed=failed)


def _record(
    session: Session, found: Row[Any], letter: int, act: Act, outcome: str
) -> None:
    more = {"because": found.because, "outcome": outcome[:1000], "run_id": found.id}
    record(session, letter, act, found.by, **more)


def _progress(
    session: Session, found: Row[Any], letter: int, *, done: int = 0, failed: int = 0
) -> None:
    values: dict[str, Any] = {
        "tried": found.tried + 1,
        "failed": found.failed + failed,
        "due_at": clock.now() + timedelta(seconds=1 / found.rate),
    }
    if not is_sample(found):
        values["position"] = letter
        values["done"], values["failures"] = found.done + done, found.failures + failed
    if found.act == RunAct.REPLAY:
        size = found.step or len(json.loads(found.sample))
        if values["failed"] * 100 > found.tolerate * size:
            end(session, found.id, RunState.HALTED, _why(found, values, size))
        elif values["tried"] == size:
            step = min(2 * found.step, LARGEST_STEP) or 1
            values |= {"step": step, "tried": 0, "failed": 0}
    session.execute(update(run).where(run.c.id == found.id).values(values))


def _why(found: Row[Any], values: dict[str, Any], size: int) -> str:
    which = f"the step of {size}" if found.step else f"the dry run of {size}"
    failed = f"{values['failed']} of {values['tried']} letters failed in {which}"
    none = "" if found.step else " Nothing was replayed."
    return f"{failed}: more than the {found.tolerate} % that may.{none}"


def _settle_batch(session: Session, found: Row[Any]) -> None:
    ids = dead_letter.c.id
    some = _next_letters(session, found, BATCH)
    # Locked, and asked again: one may be replayed at this moment.
    locked = select(ids).where(ids.in_(some), *is_for(found.fingerprint, found.act))
    letters = [*session.scalars(locked.order_by(ids).with_for_update())]
    if not some:
        end(session, found.id, RunState.DONE, "Every letter was tried.")
        return
    if letters:
        _settle(session, found, letters)
    values = {"position": some[-1], "done": found.done + len(letters)}
    session.execute(update(run).where(run.c.id == found.id).values(values))


def _settle(session: Session, found: Row[Any], letters: list[int]) -> None:
    now, is_discard = clock.now(), found.act == RunAct.DISCARD
    before, after = State.OPEN, State.DISCARDED
    act = Act.DISCARDED if is_discard else Act.RESTORED
    if not is_discard:
        before, after = after, before
    values = {
        "state": after,
        "discarded_at": now if is_discard else None,
        "discarded_by": found.by if is_discard else None,
        "discarded_because": found.because if is_discard else None,
    }
    mine = update(dead_letter).where(dead_letter.c.id.in_(letters))
    session.execute(mine.values(values))
    move(session, found.fingerprint, before, after, len(letters))
    of_all = {"act": act, "by": found.by, "because": found.because, "at": now}
    rows = [{**of_all, "letter_id": each, "run_id": found.id} for each in letters]
    session.execute(insert(action), rows)
