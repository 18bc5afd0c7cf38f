"""A terminal in which a command runs as for a person: a pty that is read, and typed into."""

import os
import pty
import re
import select
import time
from contextlib import suppress
from pathlib import Path

CTRL_C = b"\x03"


class Terminal:
    """One command in a pseudo-terminal of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        """Start the command in this folder."""
        self.shown = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvp(command[0], command)  # noqa: S606 - there is no shell, and none is wanted

    def shows(self, pattern: str, deadline: float) -> str:
        """Wait until what is shown matches; give all that is shown."""
        end = time.monotonic() + deadline
        while not re.search(pattern, self.shown):
            if not self._read(end):
                raise AssertionError(
                    f"the terminal does not show {pattern!r} but:\n{self.shown}"
                )
        return self.shown

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def ends(self, deadline: float) -> int:
        """Wait until the command has ended; give its exit status."""
        end = time.monotonic() + deadline
        while self._read(end):
            pass
        os.close(self._terminal)
        pid, status = os.waitpid(self.pid, os.WNOHANG if time.monotonic() > end else 0)
        assert pid == self.pid, f"it has not ended; the terminal shows:\n{self.shown}"
        return os.waitstatus_to_exitcode(status)

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select(
            [self._terminal], [], [], max(0, end - time.monotonic())
        )
        with suppress(
            OSError
        ):  # Linux says so when the last program has closed the terminal
            if ready and (data := os.read(self._terminal, 65536)):
                self.shown += data.decode(errors="replace")
                return True
        return False
