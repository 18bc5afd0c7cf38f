"""A terminal in which a command runs as for a person: a pty that is read, and typed into."""

import os
import pty
import re
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

CTRL_C, CTRL_S, CTRL_Q = b"\x03", b"\x13", b"\x11"
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Terminal:
    """One command in a pseudo-terminal of its own; left by `with`, it is stopped if it still runs."""

    def __init__(self, command: list[str], folder: Path) -> None:
        """Start the command in this folder."""
        self._raw = ""
        self._has_ended = False
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvp(command[0], command)  # noqa: S606 - there is no shell, and none is wanted

    def __enter__(self) -> Self:
        """Use the terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what a test that failed has left running."""
        if not self._has_ended:
            self.types(CTRL_C)
            self.ends(deadline=90)

    def shows(self, pattern: str, deadline: float) -> str:
        """Wait until what is shown matches; give all that is shown."""
        end = time.monotonic() + deadline
        while not re.search(pattern, self.shown):
            if not self._read(end):
                raise AssertionError(
                    f"the terminal does not show {pattern!r} but:\n{self.shown}"
                )
        return self.shown

    @property
    def shown(self) -> str:
        """All that is shown, without its colours."""
        return COLOUR.sub("", self._raw)

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def is_closed(self) -> None:
        """Close the terminal as a person closes its window, and wait for the command to end."""
        os.killpg(
            self.pid, signal.SIGHUP
        )  # a person's shell does this to what runs in it
        os.close(self._terminal)
        os.waitpid(self.pid, 0)
        self._has_ended = True

    def ends(self, deadline: float) -> int:
        """Wait until the command has ended; give its exit status."""
        end = time.monotonic() + deadline
        while self._read(end):
            pass
        os.close(self._terminal)
        pid, status = os.waitpid(self.pid, os.WNOHANG if time.monotonic() > end else 0)
        self._has_ended = pid == self.pid
        assert self._has_ended, f"it has not ended; the terminal shows:\n{self.shown}"
        return os.waitstatus_to_exitcode(status)

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select(
            [self._terminal], [], [], max(0, end - time.monotonic())
        )
        with suppress(
            OSError
        ):  # Linux says so when the last program has closed the terminal
            if ready and (data := os.read(self._terminal, 65536)):
                self._raw += data.decode(errors="replace")
                return True
        return False
