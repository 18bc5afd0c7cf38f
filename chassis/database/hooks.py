"""What follows a transaction: what is done once it is committed, and what is kept though it was not."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event, orm
from sqlalchemy.ext.asyncio import AsyncSession

FollowUp = Callable[[AsyncSession], Awaitable[object]]
"""What is to be written though the transaction before it was rolled back."""


def begin() -> dict[str, list[Any]]:
    """Make what a session knows of it at first: nothing."""
    return {"spoilt": [], "afterwards": [], "to_do": []}


def after_commit(session: AsyncSession, act: Callable[[], object]) -> None:
    """Do this once this session's transaction is committed, and before anything else has its turn.

    A crash in between swallows it: so not even the connection is given back before.
    """
    session.info["to_do"].append(act)


class Session(orm.Session):
    """A session that does what is to follow its commit."""


@event.listens_for(Session, "after_commit")
def _follow_commit(committed: Session) -> None:
    if not committed.in_nested_transaction():
        acts: list[Callable[[], object]] = committed.info.pop("to_do", [])
        for act in acts:
            act()


def spoil(session: AsyncSession, error: Exception) -> None:
    """Let this session's transaction go on, and be rolled back at its end with this error."""
    session.info["spoilt"].append(error)


def after_rollback(session: AsyncSession, do: FollowUp) -> None:
    """Should this session's transaction be rolled back, do this in a transaction of its own."""
    session.info["afterwards"].append(do)


def check(session: AsyncSession) -> None:
    """Come to the error that this session's transaction was spoilt with, if it was."""
    for error in session.info["spoilt"]:
        raise error


async def follow_rollback(session: AsyncSession) -> None:
    """Do what follows a transaction that was rolled back, in one of its own."""
    session.info["to_do"] = []
    if session.info["afterwards"]:
        async with session.begin():
            for do in session.info["afterwards"]:
                await do(session)
