"""Where a supervisor writes: what its part says, and what it says itself of that part."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from chassis.text import escaped
from toolchain.supervise.outlet import Outlet
from toolchain.supervise.record import open_pipe, pieces

LONGEST = 60_000
"""Bytes of a line that are passed on: at 64 KiB, `dapr run` reads no more, and its app would stand still."""

MOST_LINES = {True: 200, False: 5_000}
"""Lines a second that a sidecar may write for long, and an app: an error without a pause would fill a disk."""
BURST = 10
"""Seconds of that many lines that may come at once."""
COUNTS_EVERY = 10.0
"""Seconds between two reports of how many lines were dropped."""

OF_A_SIDECAR = "the sidecar of "


class Throttle:
    """How many lines a part may write: so many a second, and those of some seconds at once."""

    def __init__(self, most: int) -> None:
        self._most, self._room = most, float(most * BURST)
        self._at = self._counted_at = time.monotonic()
        self._dropped = 0

    def admits(self) -> bool:
        """Return whether there is room for a line; one that has none is counted."""
        now = time.monotonic()
        more = self._most * (now - self._at)
        self._room, self._at = min(self._room + more, self._most * BURST), now
        if self._room < 1:
            self._dropped += 1
            return False
        self._room -= 1
        return True

    def dropped(self) -> int:
        """Return how many lines had no room since the last count, where one is due."""
        if not self._dropped or self._at < self._counted_at + COUNTS_EVERY:
            return 0
        self._counted_at, number, self._dropped = self._at, self._dropped, 0
        return number


class Output:
    """The output of one part: to `make run` if that reads, and to where `dapr run` lets it go."""

    def __init__(self, name: str, *, is_dapr_runs_sidecar: bool = False) -> None:
        self._name = name
        is_a_sidecars = name.startswith(OF_A_SIDECAR)
        app = name.removeprefix(OF_A_SIDECAR)
        self._part = f"{app} sidecar" if is_a_sidecars else app
        self._throttle = Throttle(MOST_LINES[is_a_sidecars])
        pipe = open_pipe()
        self._log = None if pipe is None else Outlet(pipe, self._lost)
        # An app's would come to the same terminal twice; a sidecar's is a file.
        is_ours = pipe is None or is_a_sidecars
        self._ours = Outlet(1, _not_read) if is_ours else None
        self._also = Path("/dev/tty") if is_dapr_runs_sidecar and not pipe else None

    def pass_on(self, line: bytes) -> None:
        """Write a line of the part, as long as these are not too many."""
        is_admitted = self._throttle.admits()
        if dropped := self._throttle.dropped():
            self.report(f"says too much: {dropped:,} lines of it were dropped", "WARN")
        if not is_admitted:
            return
        line = line.rstrip(b"\r\n")  # at the part's end it may have had none
        self._write(line, line)

    def report(self, text: str, level: Literal["INFO", "WARN", "ERROR"]) -> None:
        """Write what the supervisor says of its part, without the part's name."""
        text = escaped(text)
        line = f"supervisor: {self._name} {text}".encode()
        self._write(line, text.encode(), level)
        if self._also:  # by hand, there may be a terminal
            with suppress(OSError), self._also.open("ab", buffering=0) as terminal:
                terminal.write(line + b"\n")

    def _write(self, line: bytes, text: bytes, level: str = "") -> None:
        if self._ours:
            self._ours.write(line + b"\n")
        if self._log:
            for piece in pieces(self._part, text, level):
                self._log.write(piece)

    def close(self) -> None:
        """Wait a moment until all of it is written."""
        for each in (self._ours, self._log):
            if each:
                each.close()

    def _lost(self, number: int) -> bytes:
        said = f"{number:,} lines of it were dropped: `make run` did not read them"
        return b"".join(pieces(self._part, said.encode(), "WARN"))


def _not_read(number: int) -> bytes:
    return (
        f"supervisor: {number:,} lines were dropped: nobody read them here\n".encode()
    )


def lines(output: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a part; the rest of one that is too long is counted and dropped."""
    while line := output.readline(LONGEST):
        cut = 0
        while not line.endswith(b"\n") and (rest := output.readline(LONGEST)):
            cut += len(rest)
            if rest.endswith(b"\n"):
                break
        yield line + f" … and {cut:,} bytes more\n".encode() if cut else line
