"""Transaction hooks: what is done once for many units before their commit, and what follows it."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import FromClause, Table, insert
from sqlalchemy.orm import Session

Act = Callable[[], object]
T = TypeVar("T")


def batch(session: Session, act: Callable[[Session, list[T]], None], item: T) -> None:
    """Run `act(session, items)` once before the commit, with this item and the others of its kind.

    A handler stays a function of one thing, and yet a group of fifty sends one statement. What `act` raises is
    raised by the unit whose item it is: the group is bisected (group_commit.py).
    """
    session.info["batches"].setdefault(act, []).append(item)


def add(session: Session, table: FromClause, row: dict[str, Any]) -> None:
    """Insert a row, together with the others of its table, before the commit; all name the same columns.

    `session.add` of a mapped object takes three times as long; it serves as well where that does not matter.
    """
    batch(session, _inserter(table), row)


@cache
def _inserter(table: FromClause) -> Callable[[Session, list[dict[str, Any]]], None]:
    statement = insert(cast("Table", table))  # what a mapped class calls a FromClause

    def insert_all(session: Session, rows: list[dict[str, Any]]) -> None:
        session.connection().execute(statement, rows)

    return insert_all


def run_batches(session: Session) -> None:
    """Send what the session holds to the database: mapped objects first, and then each batch."""
    session.flush()
    batches = session.info["batches"]
    while batches:  # what an act adds in its turn is sent too
        act = next(iter(batches))
        act(session, batches.pop(act))
        session.flush()


def after_commit(session: Session, act: Act) -> None:
    """Run `act` once this session's transaction is committed, on a thread that does nothing else.

    It may block: only the acts of later commits wait for it, in memory, and `Database.close`. A crash in between
    loses it; an exception in it is logged, and undoes nothing. Where a `batch` asks for it, it follows the whole
    group once.
    """
    session.info["after_commit"].append(act)


def once_committed(session: Session, act: Act) -> None:
    """Run `act` on the event loop once this session's transaction is committed; it neither blocks nor fails."""
    session.info["woken"].setdefault("", []).append(act)


def wake(session: Session, name: str, *acts: Act) -> None:
    """Wake the loop that waits for `name` (Database.signal) once this session's transaction is committed.

    `acts` hand it what it waits for: they run before, on the event loop, and do not block.
    """
    session.info["woken"].setdefault(name, []).extend(acts)
