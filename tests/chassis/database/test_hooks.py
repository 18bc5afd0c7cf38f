"""Transaction hooks: they run after the commit, hold nobody up, and never where it was rolled back."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from chassis.database import Database, after_commit, batch, wake
from tests.chassis.database.entries import insert_one, rows
from tests.support.database import followed

# A deferred foreign key is checked by COMMIT itself.
BROKEN = "CREATE TABLE broken (id integer REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED)"


def fail_at_commit(session: Session) -> None:
    """Write what only COMMIT refuses."""
    session.execute(text(BROKEN))
    session.execute(text("INSERT INTO broken VALUES (7)"))


def fail(_session: Session) -> None:
    """Raise."""
    raise ZeroDivisionError


async def test_an_act_that_blocks_holds_up_nobody_and_is_done_before_the_end(
    database: Database,
) -> None:
    done: list[int] = []
    may_go_on = threading.Event()

    def act() -> None:
        assert may_go_on.wait(30)
        done.append(1)

    def work(session: Session) -> str:
        insert_one(session)
        after_commit(session, act)
        return "result"

    assert await database.write(work) == "result"
    await database.write(insert_one)
    assert await rows(database) == 2
    assert done == []
    closing = asyncio.create_task(database.close())
    await asyncio.wait([closing], timeout=0.2)
    assert not closing.done()
    may_go_on.set()
    await closing
    assert done == [1]


async def test_an_act_that_a_batch_asks_for_follows_its_whole_group_once(
    database: Database,
) -> None:
    done: list[list[int]] = []

    def ask(session: Session, items: list[int]) -> None:
        after_commit(session, partial(done.append, items))

    def asking(number: int) -> Callable[[Session], None]:
        return lambda session: batch(session, ask, number)

    # The first finds the writer free, and the others wait for it together.
    units = (database.write(asking(number), "lane") for number in range(4))
    await asyncio.gather(*units)
    await followed(database)

    assert sorted(each for group in done for each in group) == [0, 1, 2, 3]
    assert len(done) < 4


async def test_acts_run_in_their_order_and_only_once(database: Database) -> None:
    done: list[int] = []

    def work(session: Session) -> None:
        for number in range(3):
            after_commit(session, partial(done.append, number))

    await database.write(work)
    await database.write(insert_one)
    await followed(database)

    assert done == [0, 1, 2]


@pytest.mark.parametrize(
    ("ends", "error"), [(fail, ZeroDivisionError), (fail_at_commit, IntegrityError)]
)
async def test_nothing_follows_what_is_rolled_back(
    database: Database, ends: object, error: type[Exception]
) -> None:
    done: list[str] = []

    def work(session: Session) -> None:
        after_commit(session, lambda: done.append("an act"))
        wake(session, "news")
        assert callable(ends)
        ends(session)

    with pytest.raises(error):
        await database.write(work)
    await followed(database)

    assert done == []
    assert not database.signal("news").is_set()


async def test_who_waits_is_woken_after_the_commit_and_not_before(
    database: Database,
) -> None:
    def work(session: Session) -> None:
        insert_one(session)
        wake(session, "news")
        assert not database.signal("news").is_set()

    await database.write(work)

    assert database.signal("news").is_set()
    assert not database.signal("other").is_set()


async def test_who_is_woken_has_been_handed_what_was_committed(
    database: Database,
) -> None:
    handed: list[bool] = []

    def work(session: Session) -> None:
        insert_one(session)
        wake(session, "news", lambda: handed.append(database.signal("news").is_set()))
        wake(session, "news")
        assert handed == []

    await database.write(work)

    assert handed == [False]
    assert database.signal("news").is_set()


async def test_an_act_that_fails_undoes_nothing_and_keeps_nobody_from_being_woken(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def work(session: Session) -> str:
        insert_one(session)
        after_commit(session, lambda: 1 / 0)
        after_commit(session, lambda: done.append("the act after it"))
        wake(session, "news")
        return "result"

    assert await database.write(work) == "result"
    await followed(database)

    assert await rows(database) == 1
    assert database.signal("news").is_set()
    assert done == ["the act after it"]
    assert [each.getMessage() for each in caplog.records] == [
        "what follows a commit failed; the commit stands"
    ]
    assert "ZeroDivisionError" in caplog.text


async def test_what_a_batch_adds_in_its_turn_is_handled_before_the_commit_too(
    database: Database,
) -> None:
    handled: list[list[str]] = []

    def second(_: Session, items: list[str]) -> None:
        handled.append(items)

    def first(session: Session, items: list[str]) -> None:
        handled.append(items)
        for each in items:
            batch(session, second, f"{each} again")

    def work(session: Session) -> None:
        batch(session, first, "one")
        batch(session, first, "two")

    await database.write(work)

    assert handled == [["one", "two"], ["one again", "two again"]]
