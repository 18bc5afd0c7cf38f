"""Supervisor of one part of the system, a sidecar or an app: a part that dies is started again.

`dapr run` starts each part once and does nothing when it dies. It ends its parts with SIGKILL, which reaches
only this supervisor; the kernel then sends the part SIGTERM, and it stops cleanly. On Kubernetes, Kubernetes
does all this.
"""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from toolchain.machine import network, processes, secured
from toolchain.machine.failure import EX_CONFIG
from toolchain.supervise import descendants
from toolchain.supervise.output import OF_A_SIDECAR, Output, lines

FIRST_PAUSE, LONGEST_PAUSE, LASTING = 1.0, 10.0, 10.0
"""Seconds: the first pause before a new start, the longest one, and how long a part lasts that was up."""

FATAL = re.compile(
    rb"level=fatal|address already in use|failed to execute|unknown (shorthand )?flag|invalid argument|"
    rb"Error loading ASGI app|The setting \w+ is wrong|ModuleNotFoundError"
)
"""In the last lines of a part that cannot go on."""

STARTED = b"dapr initialized. Status: Running"
"""In the line of a sidecar that has started: what it dies of afterwards came while it ran."""

TRANSIENT = re.compile(rb"INIT_COMPONENT_FAILURE|address already in use")
"""Of that, what a new start may cure: the broker is not there yet, or the part before is still stopping."""

NAMELESS = re.compile(rb"INIT_COMPONENT_FAILURE.* occurred for nr ")
"""In the line of a sidecar that could not write down its name: it goes on, and no other ever finds it.

Two that start at one moment on a new file are enough: SQLite refuses one of them at once, whatever the time-out.
"""

ERROR = re.compile(
    rb"level=(fatal|error)|^(panic|fatal error): |^\w+(\.\w+)*(Error|Exception)\b"
)
"""A line that may be the reason why a part ended: of daprd, of Go, of Python."""

ASKS_EVERY, SILENCES = 2.0, 3
"""Seconds between two questions for a part's health, and how many in a row without answer are reported."""

ENDS_WITHIN = 5.0
"""Seconds that what a part has started has to end, once the part itself has died."""

TO_STOP = "Ctrl-C in the terminal of `make run` or `dapr run` stops the system"

KILLED = -signal.SIGKILL, -signal.SIGTERM
"""Exit statuses of what was ended from outside: its last words are not why."""

MOST_WORDS = 1000
"""Bytes of a part's last words that are repeated when it has died."""

ADDRESS_ATTEMPTS = 5
"""How often in a row an address may be in use before it belongs to something else."""


@dataclass
class Supervisor:
    """The supervisor of one part."""

    output: Output
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    child: subprocess.Popen[bytes] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    fatal: bytes = b""
    error: bytes = b""
    last: bytes = b""
    reported: str = ""
    address_in_use: int = 0
    has_worked: bool = False
    first_pause: float = FIRST_PAUSE

    def run(self) -> int:
        """Keep the part running until this process is told to stop, or a new start is of no use."""
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, self._stop)
        threading.Thread(
            target=self._watch_parent, args=(os.getppid(),), daemon=True
        ).start()
        threading.Thread(target=self._watch_health, daemon=True).start()
        try:
            return self._keep_running()
        finally:
            self.output.close()

    def _keep_running(self) -> int:
        pause = self.first_pause / 2
        while True:
            started = time.monotonic()
            status = self._run_once()
            if self.stopping.is_set():
                return 0
            lasted = time.monotonic() - started > LASTING
            # What has worked is tried again: a file that was saved half written is mended while it runs.
            self.has_worked = self.has_worked or lasted
            if self._is_hopeless(status) and not self.has_worked:
                return self._give_up()
            pause = self.first_pause if lasted else min(pause * 2, LONGEST_PAUSE)
            self._report(status, lasted=lasted)
            if self.stopping.wait(pause):
                return 0

    def _run_once(self) -> int:
        self.fatal = self.error = self.last = b""
        # restore_signals=False leaves SIGPIPE ignored: when `dapr run` and its pipes are gone, daprd would
        # otherwise die of the first line that it writes, in the middle of stopping cleanly.
        self.child = subprocess.Popen(
            [*processes.tied(os.environ), *self.command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            restore_signals=False,
        )
        if self.stopping.is_set():  # told while it was being started
            self.child.terminate()
        reading = threading.Thread(target=self._pass_on, args=(self.child,))
        reading.start()
        # In turns: a signal that arrives just before a read would wait for the part's next line.
        while reading.is_alive():
            reading.join(0.5)
            if self.child.poll() is not None:
                # What it has started itself would keep its output, and its port.
                descendants.end(descendants.children(os.getpid()), ENDS_WITHIN)
        status = self.child.wait()
        if status in KILLED:  # whatever its last words were
            self.error = self.last = b""
        return status

    def _pass_on(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout  # noqa: S101 - it is a pipe
        for line in lines(child.stdout):
            if FATAL.search(line):
                self.fatal = line
            if NAMELESS.search(line):
                self.fatal = line
                child.terminate()
            if STARTED in line:
                self.has_worked = True
            if ERROR.search(line) and not self.error.startswith(b"panic"):
                self.error = line
            self.last = line.strip() or self.last
            self.output.pass_on(line)

    def _is_hopeless(self, status: int) -> bool:
        in_use = b"address already in use" in self.fatal
        self.address_in_use = self.address_in_use + 1 if in_use else 0
        if TRANSIENT.search(self.fatal):
            return self.address_in_use >= ADDRESS_ATTEMPTS
        return status == EX_CONFIG or (status > 0 and bool(self.fatal))

    def _give_up(self) -> int:
        self.output.report(
            f"is not started again, as its configuration is wrong{self._why()}; correct that, and run it again",
            "ERROR",
        )
        return EX_CONFIG

    def _report(self, status: int, *, lasted: bool) -> None:
        how = (
            f"killed by {signal.Signals(-status).name}"
            if status < 0
            else f"exit status {status}"
        )
        text = f"died ({how}{self._why()}); it is started again until it runs"
        if is_stopped := status in (0, -signal.SIGTERM) and not NAMELESS.search(
            self.fatal
        ):
            text = f"was stopped, as by `dapr stop`, and is started again; {TO_STOP}"
        if lasted or text != self.reported:  # an outage is one line, however long it is
            self.output.report(text, "WARN" if is_stopped else "ERROR")
        self.reported = text

    def _why(self) -> str:
        """Return the reason as its end of a sentence, or the part's last words where no line is one."""
        words = self.fatal or self.error
        line = (words or self.last)[:MOST_WORDS].decode(errors="replace").strip()
        message = re.search(r'level=(?:fatal|error) msg="(.*?)(?<!\\)"', line)
        reason = message[1].replace('\\"', '"') if message else line
        before = ": " if words else "; its last words: "
        return f"{before}{reason}" if reason else ""

    def _watch_health(self) -> None:
        question, silences = health_of(self.command), 0
        while question and not self.stopping.wait(ASKS_EVERY):
            if _answers(*question):
                self.has_worked, silences = True, 0
                if self.reported:
                    self.output.report("works again", "INFO")
                self.reported = ""
            elif self.has_worked and self.child and self.child.poll() is None:
                silences += 1
                if silences == SILENCES:
                    self.reported = processes.why_silent(self.child.pid)
                    self.output.report(self.reported, "ERROR")

    def _watch_parent(self, parent: int) -> None:
        # `dapr run` that was killed itself does not stop its parts. (Not by setpriv: the kernel would
        # signal the end of the thread that started us, and the CLI's threads may come and go.)
        with suppress(AttributeError, ProcessLookupError):  # macOS has no pidfd
            select.select([os.pidfd_open(parent)], [], [])
            self._stop()

    def _stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self.stopping.set()
        if self.child:
            self.child.terminate()


def health_of(command: Sequence[str]) -> tuple[int, str] | None:
    """Return the port and the path where a part of this command line answers while it works."""
    line = " ".join(command)
    if found := re.search(r" --dapr-http-port[ =](\d+)", line):
        return int(found[1]), "/v1.0/healthz/outbound"
    found = re.search(r" --port[ =](\d+)", line)
    return (int(found[1]), "/healthz") if found else None


def _answers(port: int, path: str) -> bool:
    question = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    answer = network.ask(("127.0.0.1", port), question.encode(), size=12) or b""
    return answer.startswith(b"HTTP/") and answer.split()[-1] < b"500"


def _is_dapr_runs_sidecar(command: Sequence[str]) -> bool:
    # Not where a test or a rig has started this supervisor, and kills its part on purpose.
    with suppress(OSError):
        parent = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
        return parent == "dapr" and "--app-id" in command
    return False


def main(command: Sequence[str]) -> int:
    """Supervise the program of this command line."""
    os.umask(0o077)  # databases and logs hold what customers wrote
    own = os.environ
    if "--app-id" in command:
        app_id = command[command.index("--app-id") + 1]
        name, secrets = f"{OF_A_SIDECAR}{app_id}", secured.of_sidecar(own, app_id)
        command = [*command, *secured.flags(own, app_id)]
    else:
        name = own.get("APP_ID", Path(command[0]).name)
        secrets = secured.of_app(own, name)
    descendants.adopt_orphans()
    output = Output(name, is_dapr_runs_sidecar=_is_dapr_runs_sidecar(command))
    return Supervisor(output, command, {**own, **secrets}).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
