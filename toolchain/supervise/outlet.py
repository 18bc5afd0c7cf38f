"""Writing that never waits: a terminal that nobody reads must not stop who writes to it."""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

ROOM = 1024 * 1024
"""Bytes that may wait for whoever reads."""
LAST_WORDS = 1.0
"""Seconds that the end of a program waits until what it wrote is read."""


class Outlet:
    """A file descriptor that is written to from a thread.

    What finds no room is dropped; once the rest is written, `lost` makes a line of the number of those that were.
    """

    def __init__(
        self, descriptor: int, lost: Callable[[int], bytes], room: int = ROOM
    ) -> None:
        # Its own: a thread that still waits at the end must not write to what takes the number then.
        self._descriptor = os.dup(descriptor)
        self._lost, self._room = lost, room
        self._lines: deque[bytes] = deque()
        self._waiting = self._dropped = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Write a line, soon; each is one write, and so stays whole in a pipe up to 4096 bytes."""
        with self._changed:
            # Until the rest is written: else there would be a note between every two lines.
            if self._dropped or self._waiting + len(line) > self._room:
                self._dropped += 1
                return
            self._lines.append(line)
            self._waiting += len(line)
            self._changed.notify()

    def close(self) -> None:
        """Wait for what is still to be written, but not for a reader that does not read."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(LAST_WORDS)

    def _run(self) -> None:
        while line := self._next():
            # Nobody reads any more, or the disk is full: whoever writes goes on all the same.
            with suppress(OSError):
                while line:
                    line = line[os.write(self._descriptor, line) :]
        os.close(self._descriptor)

    def _next(self) -> bytes:
        """Return the next line once there is one; nothing at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._lines or self._dropped or self._is_closed
            )
            if self._lines:
                line = self._lines.popleft()
                self._waiting -= len(line)
                return line
            dropped, self._dropped = self._dropped, 0
            return self._lost(dropped) if dropped else b""
