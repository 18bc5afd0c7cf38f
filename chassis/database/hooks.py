"""Transaction hooks: what happens once a unit of work is committed, and not where it is rolled back."""

from collections.abc import Callable

from sqlalchemy.orm import Session

Act = Callable[[], object]


def after_commit(session: Session, act: Act) -> None:
    """Run `act` on the event loop once this session's transaction is committed.

    A crash in between loses it; an exception in it is logged, and undoes nothing.
    """
    session.info["after_commit"].append(act)


def wake(session: Session, name: str) -> None:
    """Wake the loop that waits for `name` (Database.signal) once this session's transaction is committed."""
    session.info["woken"].add(name)
