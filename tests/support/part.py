"""One part of a real system, a sidecar or a service, started as `dapr run` starts it: with its supervisor."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually
from toolchain.runfile import ROOT
from toolchain.supervise import descendants

STOPS_WITHIN = 50.0


@dataclass
class Part:
    """A sidecar or a service, kept running by the project's own supervisor."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with its supervisor."""
        with self.log.open("ab") as log:
            self.supervisor = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def kill(self) -> None:
        """Kill the part itself with SIGKILL, not its supervisor, and wait until it is gone."""
        (pid,) = self.pids()
        os.kill(pid, 9)

        async def is_gone() -> bool:
            return pid not in self.pids()

        await eventually(is_gone, f"{self.log.stem} is gone")

    def kill_for_good(self) -> None:
        """Kill the part and its supervisor with SIGKILL: nobody starts it again."""
        pids = self.pids()
        if self.supervisor:
            self.supervisor.kill()
            self.supervisor.wait()
        for pid in pids:
            with suppress(ProcessLookupError):  # the supervisor's end has reached it
                os.kill(pid, 9)

    def pids(self) -> set[int]:
        """Return the process id of the part, if it runs."""
        return descendants.children(self.supervisor.pid) if self.supervisor else set()

    def said(self) -> str:
        """Return all that it has written so far."""
        return self.log.read_text() if self.log.exists() else ""

    def ask_to_stop(self) -> None:
        """Ask it to stop in good order."""
        if self.supervisor:
            self.supervisor.terminate()

    def stop(self) -> None:
        """Stop it in good order."""
        self.ask_to_stop()
        self.has_stopped()

    def has_stopped(self) -> None:
        """Wait until it has stopped, and end it by force if that takes too long."""
        if self.supervisor:
            with suppress(subprocess.TimeoutExpired):
                self.supervisor.wait(STOPS_WITHIN)
            self.supervisor.kill()
            self.supervisor.wait()
