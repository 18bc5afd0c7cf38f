"""Keeps one part of the system running, a sidecar or an app: one that dies is started again.

`dapr run` starts each part once and looks on when it dies. It ends its parts with SIGKILL, which reaches
only this keeper; the kernel then sends the part SIGTERM, and it stops cleanly. On Kubernetes, Kubernetes
does all this.
"""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

EX_CONFIG = 78
"""Exit status for a configuration error (sysexits.h), of the apps and of the keeper."""

FIRST_PAUSE, LONGEST_PAUSE, LASTING = 1.0, 10.0, 10.0
"""Seconds: the first pause before a new start, the longest one, and how long a part lasts that was up."""

LAST_WORDS = re.compile(
    rb"level=fatal|address already in use|failed to execute|unknown (shorthand )?flag|invalid argument|"
    rb"Error loading ASGI app|The setting \w+ is wrong|ModuleNotFoundError"
)
"""What a part says that cannot go on."""

MAY_PASS = re.compile(rb"INIT_COMPONENT_FAILURE|address already in use")
"""Of that, what a new start may cure: the broker is not there yet, or the part before is still stopping."""

ATTEMPTS_AT_AN_ADDRESS = 5
"""So often in a row an address may be in use; then it belongs to something else."""


@dataclass
class Keeper:
    """One part and what is known of it."""

    name: str
    command: Sequence[str]
    child: subprocess.Popen[bytes] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    last_words: bytes = b""
    said: str = ""
    at_an_address: int = 0
    first_pause: float = FIRST_PAUSE

    def run(self) -> int:
        """Keep the part running until this process is told to stop, or until starting it again is no use."""
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, self._stop)
        threading.Thread(
            target=self._watch_parent, args=(os.getppid(),), daemon=True
        ).start()
        pause = self.first_pause / 2
        while True:
            started = time.monotonic()
            status = self._run_once()
            if self.stopping.is_set():
                return 0
            if self._is_hopeless(status):
                return self._give_up()
            lasted = time.monotonic() - started > LASTING
            pause = self.first_pause if lasted else min(pause * 2, LONGEST_PAUSE)
            self._say_how_it_ended(status, lasted=lasted)
            if self.stopping.wait(pause):
                return 0

    def _run_once(self) -> int:
        self.last_words = b""
        # restore_signals=False leaves SIGPIPE ignored: when `dapr run` and its pipes are gone, daprd would
        # otherwise die of the first line that it writes, in the middle of stopping cleanly.
        self.child = subprocess.Popen(
            [*_dies_with_its_parent(), *self.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            restore_signals=False,
        )
        if self.stopping.is_set():  # told while it was being started
            self.child.terminate()
        assert self.child.stdout  # noqa: S101 - it is a pipe
        for line in self.child.stdout:
            if LAST_WORDS.search(line):
                self.last_words = line
            with suppress(
                OSError
            ):  # nobody reads any more: the part is still heard to its end
                os.write(1, line)
        return self.child.wait()

    def _is_hopeless(self, status: int) -> bool:
        in_use = b"address already in use" in self.last_words
        self.at_an_address = self.at_an_address + 1 if in_use else 0
        if MAY_PASS.search(self.last_words):
            return self.at_an_address >= ATTEMPTS_AT_AN_ADDRESS
        return status == EX_CONFIG or (status > 0 and bool(self.last_words))

    def _give_up(self) -> int:
        say(
            f"{self.name} is not started again, as its configuration is wrong: {self._why()}"
        )
        say(
            f"correct that, and run it again (the command was: {' '.join(self.command)})"
        )
        return EX_CONFIG

    def _say_how_it_ended(self, status: int, *, lasted: bool) -> None:
        how = (
            f"killed by {signal.Signals(-status).name}"
            if status < 0
            else f"exit status {status}"
        )
        text = f"{self.name} ended ({how}{self._why(': ')}); it is started again until it runs"
        if lasted or text != self.said:  # an outage is one line, however long it is
            say(text)
        self.said = text

    def _why(self, prefix: str = "") -> str:
        line = self.last_words.decode(errors="replace").strip()
        message = re.search(r'level=fatal msg="(.*?)(?<!\\)"', line)
        why = message[1].replace('\\"', '"') if message else line
        return f"{prefix}{why}" if why else ""

    def _watch_parent(self, parent: int) -> None:
        # `dapr run` that was killed itself says nothing to its parts. (Not by setpriv: the kernel would
        # signal the end of the thread that started us, and the CLI's threads may come and go.)
        with suppress(AttributeError, ProcessLookupError):  # macOS has no pidfd
            select.select([os.pidfd_open(parent)], [], [])
            self._stop()

    def _stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self.stopping.set()
        if self.child:
            self.child.terminate()


def say(text: str) -> None:
    """Write a line of the keeper's own."""
    with suppress(OSError):
        os.write(1, f"keeper: {text}\n".encode())


def _dies_with_its_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def main(command: Sequence[str]) -> int:
    """Keep the program of this command line running."""
    if "--app-id" in command:
        name = f"the sidecar of {command[command.index('--app-id') + 1]}"
    else:
        name = os.environ.get("APP_ID", Path(command[0]).name)
    return Keeper(name, command).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
