"""The services of a fault run: where a file says so, a COMMIT fails, or is the last that its process does.

What is between COMMIT and the answers of a group cannot be hit from outside: it takes less than a millisecond.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from fastapi import FastAPI
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from chassis.database.group_commit import GroupCommit, QueuedUnit
from services.notification.app import create_app as create_notification
from services.order.app import create_app as create_order
from verification.chaos.plan import COMMIT_FAILS, KILL_AT_COMMIT

FILE = "COMMIT_FAULT"
"""The environment variable that names the file with the kind of fault; the file beside it has the groups hit."""
SHARE = 0.3
"""Of the groups that meet a fault, so many are hit: something is to be carried out meanwhile."""
SLOW = 0.1
"""Seconds that a commit takes longer while there is a fault, as on a slow disk: so groups become large."""


def order() -> FastAPI:
    """Return the order service, its commits in danger."""
    _endanger(Path(os.environ[FILE]))
    return create_order()


def notification() -> FastAPI:
    """Return the notification service, its commits in danger."""
    _endanger(Path(os.environ[FILE]))
    return create_notification()


def _endanger(file: Path) -> None:
    commit = GroupCommit._commit

    def dangerous(session: Session, group: Sequence[QueuedUnit]) -> None:
        kind = _read(file)
        if kind:
            # Where libfaketime shows another time, time.sleep raises OSError.
            threading.Event().wait(SLOW)
        if kind and random.random() < SHARE:
            with hits_of(file).open("a") as hits:
                hits.write(f"{len(group)}\n")
            # After a failure this connection is not used again.
            connection = session.connection()
            connection.commit = _failing(connection, kind)  # type: ignore[method-assign]
        commit(session, group)

    GroupCommit._commit = staticmethod(dangerous)  # type: ignore[method-assign]


def hits_of(file: Path) -> Path:
    """Return the file that has a line for each group whose commit was hit: its size."""
    return file.with_suffix(".hits")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _failing(connection: Connection, kind: str) -> Callable[[], None]:
    commit = connection.commit

    def fail() -> None:
        if kind != COMMIT_FAILS:
            commit()
        if kind == KILL_AT_COMMIT:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OperationalError("COMMIT", None, psycopg.OperationalError("a fault"))

    return fail
