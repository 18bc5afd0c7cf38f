"""Ending all that a program started, and only that: by process id, in good order, and waited for (Linux)."""

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent dies, so that none gets out of sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> set[int]:
    """Return the process ids of a process's children."""
    with suppress(OSError):
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        return {
            int(child) for thread in threads for child in thread.read_text().split()
        }
    return set()


def parts(pid: int, known: Mapping[int, str]) -> dict[int, str]:
    """Return which parts of a system `dapr run`, this process, has started, each by the id of its supervisor.

    `known` is what it returned before: a supervisor that was killed has no command line that would name it, and is
    there until its parent has waited for it.
    """
    return {each: known.get(each) or _part(each) for each in children(pid)}


def _part(pid: int) -> str:
    """Return what is kept running by this process: `order`, or `order sidecar`."""
    with suppress(OSError, StopIteration):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "--app-id" in words:
            return f"{words[words.index('--app-id') + 1]} sidecar"
        variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
        return next(each for each in variables if each.startswith("APP_ID="))[7:]
    return f"process {pid}"


def end(pids: Iterable[int], within: float) -> None:
    """Ask these processes to end, and kill what is still there after so many seconds."""
    left = set(pids)
    _send(left, signal.SIGTERM)
    deadline = time.monotonic() + within
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if _is_there(pid)}
        time.sleep(0.05)
    _send(left, signal.SIGKILL)


def _is_there(pid: int) -> bool:
    with suppress(ChildProcessError):  # not ours to reap: its parent does it
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pids: Iterable[int], sign: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
