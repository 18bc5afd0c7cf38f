"""The console: what a customer reads is printed after the commit that made it SENT, and at most once."""

import sys
from collections.abc import Sequence
from functools import partial

from sqlalchemy.orm import Session

from chassis.database import after_commit, batch
from chassis.text import escaped


def print_after_commit(session: Session, line: str) -> None:
    """Print a line after this session's commit, together with the others of its group.

    Nothing waits for it, a full pipe included. A crash before it is printed loses it.
    """
    batch(session, _print_after_commit, line)


def _print_after_commit(session: Session, lines: Sequence[str]) -> None:
    after_commit(session, partial(_print, lines))


def _print(lines: Sequence[str]) -> None:
    text = "".join(f"{escaped(line)}\n" for line in lines)
    # A name that the terminal's encoding lacks would otherwise cost its whole group their lines.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
