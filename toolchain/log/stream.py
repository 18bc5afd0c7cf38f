"""The log of a system that runs: the lines of all parts in the order of their time, on one terminal."""

import fcntl
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from toolchain.log.line import Line, Look, is_shown, parse
from toolchain.log.repeats import Repeats
from toolchain.machine import terminal
from toolchain.supervise.outlet import Outlet
from toolchain.supervise.record import Record, Records

HOLDS = 0.1
"""Seconds that a line waits for earlier ones of other parts."""
PIPE_HOLDS = 1024 * 1024


class Stream:
    """Reads what all parts write, and shows it; nothing waits for the terminal."""

    def __init__(self, pipe: Path, output: int, look: Look, *, info: bool) -> None:
        self._look, self._info = look, info
        self._outlet = Outlet(output, _lost)
        self._records = Records()
        self._repeats = Repeats()
        self._held: list[Line] = []
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        # Also open for writing: the pipe has no end, whoever comes and goes.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        with suppress(OSError, AttributeError):  # more than this user may have
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_HOLDS)
        self._cli, self._begun = -1, b""
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read_cli(self, output: int) -> None:
        """Read what `dapr run` says of its own, too."""
        self._cli = os.dup(output)

    def say(self, text: str) -> None:
        """Show text as it is, after the lines before it."""
        self._show_held(time.time())
        self._outlet.write(_encoded(text))

    def report(self, kind: str, part: str, text: str) -> None:
        """Show a line about a part that is not supervised here, such as the broker."""
        level = {"warning": "WARN", "failed": "ERROR"}.get(kind, "INFO")
        for each in text.splitlines():
            self._take(Record(part, time.time(), each.encode(), level))

    def close(self) -> None:
        """Show what is left."""
        self._stopping.set()
        self._thread.join()
        self._show_held(time.time() + 1)
        self._outlet.close()
        os.close(self._pipe)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._read(HOLDS / 2)
            self._show_held(time.time() - HOLDS)
        while self._read(0):
            pass

    def _read(self, patience: float) -> bool:
        """Take what there is; return whether there was anything."""
        sources = [each for each in (self._pipe, self._cli) if each >= 0]
        ready, _, _ = select.select(sources, [], [], patience)
        for each in ready:
            data = b""
            with suppress(OSError):
                data = os.read(each, 65536)
            if each == self._pipe:
                for record in self._records.feed(data):
                    self._take(record)
            else:
                self._read_cli(data)
        return bool(ready)

    def _read_cli(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._take(Record("dapr", time.time(), line))
        if not data:
            os.close(self._cli)
            self._cli = -1

    def _take(self, record: Record) -> None:
        with self._lock:
            for line in parse(record):
                if is_shown(line, info=self._info) and self._repeats.is_new(line):
                    self._held.append(line)

    def _show_held(self, until: float) -> None:
        with self._lock:
            self._held += self._repeats.due(time.time())
            # A clock that is set back must hold up no line: such a one is from the future.
            held = [each for each in self._held if until < each.at < until + 1]
            due = [each for each in self._held if not until < each.at < until + 1]
            self._held = held
            for each in sorted(due, key=lambda line: line.at):
                self._outlet.write(_encoded(self._look.show(each)))


def _encoded(text: str) -> bytes:
    return f"{text}\n".encode(sys.stdout.encoding or "utf-8", "backslashreplace")


def _lost(number: int) -> bytes:
    return _encoded(f"  … {number:,} lines are not shown: nobody read them here")


@contextmanager
def shown(
    pipe: Path, apps: tuple[str, ...], log: Path | None, *, info: bool
) -> Iterator[Stream]:
    """Show the log in the body, on the terminal or in a file; the terminal's other lines are in it."""
    with log.open("wb") if log else nullcontext() as output:
        look = Look(apps, coloured=not log and terminal.has_colours())
        stream = Stream(pipe, output.fileno() if output else 1, look, info=info)
    try:
        with nullcontext() if log else terminal.shown_by(stream.say, stream.report):
            yield stream
    finally:
        stream.close()
        pipe.unlink(missing_ok=True)
