"""A line of a part on its way to the terminal of `make run`: through a pipe that all supervisors write to."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PIPE = "LOG_PIPE"
"""The variable that names the pipe."""

WHOLE = 3800
"""Bytes of text in one write: with what stands before it, no other writer's bytes come in between (PIPE_BUF)."""


class Record(NamedTuple):
    """A line: of which part, when it was read (Unix time), and its level where the supervisor itself speaks."""

    part: str
    at: float
    text: bytes
    level: str = ""


def open_pipe() -> int | None:
    """Return where `make run` reads, if it does."""
    with suppress(OSError, KeyError):
        # A pipe that nobody reads is refused at once.
        pipe = os.open(Path(os.environ[PIPE]), os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(pipe, True)
        return pipe
    return None


def pieces(part: str, text: bytes, level: str = "") -> Iterator[bytes]:
    """Yield a line in pieces that stay whole in a pipe; all but the last say that there is more."""
    at = time.time()
    for begin in range(0, len(text) or 1, WHOLE):
        more = "+" if begin + WHOLE < len(text) else ""
        head = f"{at:.3f}\t{level}\t{more}\t{part}\t".encode()
        yield head + text[begin : begin + WHOLE] + b"\n"


@dataclass
class Records:
    """The records of what is read from the pipe, put together again."""

    _rest: bytes = b""
    _begun: dict[bytes, bytes] = field(default_factory=dict)

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield the records that are complete with this data."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):  # anybody may write to the pipe
                at, level, more, part, text = line.split(b"\t", 4)
                text = self._begun.pop(part, b"") + text
                if more:
                    self._begun[part] = text
                else:
                    yield Record(part.decode(), float(at), text, level.decode())
