"""Long-running commands: output to a log, progress to the terminal, and none outlives set-up."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolchain.machine import terminal
from toolchain.machine.failure import Failure

REPORTS_EVERY = 30.0


@dataclass(frozen=True)
class Task:
    """One command, the folder and environment it runs in, and the log that keeps its output."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    log: Path


def carry_out(
    task: Task,
    part: str,
    failure: str,
    remedy: str,
    when_stopped: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> None:
    """Run the task to its end, and print now and then that the part is at work; raises Failure if it fails."""
    task.log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with task.log.open("wb") as log:
        child = start(task, log.fileno())
        try:
            while not _ended(child, REPORTS_EVERY):
                elapsed = _duration(time.monotonic() - started)
                terminal.busy(part, f"still at work, {elapsed}")
        except BaseException:
            (when_stopped or end)(child)
            raise
    if child.returncode:
        output = f"All of its output: {task.log}"
        raise Failure(failure, tail(task.log), f"{remedy}\n{output}")


def python(folder: Path, *arguments: str, remedy: str) -> None:
    """Run this Python in a folder; raises Failure with its last words."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        what = f"python {' '.join(arguments)[:60]} failed"
        raise Failure(what, f"{done.stdout}{done.stderr}".strip()[-2000:], remedy)


def start(
    task: Task, output: int, keep: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start the task in a process group of its own, tied to this process's life where Linux can do that."""
    return subprocess.Popen(
        [*tied(task.environment), *task.command],
        cwd=task.folder,
        env=dict(task.environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # Ctrl-C in the terminal then reaches us alone, and we end the children in the right order.
        start_new_session=True,
        pass_fds=keep,
    )


def end(
    child: subprocess.Popen[bytes],
    first: signal.Signals = signal.SIGINT,
    patience: float = 10,
) -> None:
    """End a child and its group: asked first, then killed; both are gone afterwards."""
    signal_group(child, first)
    with suppress(subprocess.TimeoutExpired):
        child.wait(patience)
    signal_group(child, signal.SIGKILL)
    child.wait()


def signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a child and all that it started in its group; one that is gone already is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log, for a message."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return "(no output)"
    return "\n".join(text.splitlines()[-lines:]) or "(no output)"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _ended(child: subprocess.Popen[bytes], within: float) -> bool:
    try:
        child.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


def why_silent(pid: int) -> str:
    """Return in words why a process that runs does not answer, as far as can be seen."""
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
        if state.startswith("T"):
            return f"is held still (SIGSTOP), and goes on after: kill -CONT {pid}"
    return f"does not answer, though its process {pid} runs; its log may say why"


def tied(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a command is started with to be asked to end when its parent dies; nothing without Linux."""
    # Linux ties to the thread, not to the process: start from one that lives as long as the child.
    setpriv = shutil.which("setpriv", path=environment.get("PATH", ""))
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
