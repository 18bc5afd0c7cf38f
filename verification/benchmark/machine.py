"""What processes use, and what state the machine is in (Linux)."""

import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROCESSORS = len(os.sched_getaffinity(0))
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def tree(pids: Iterable[int]) -> set[int]:
    """Return these processes and all their descendants."""
    found = set(pids)
    for pid in list(found):
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found |= tree(map(int, (thread / "children").read_text().split()))
    return found


def cpu_ms(pids: Iterable[int]) -> float:
    """Return the CPU time of these processes and their descendants, ended children of theirs as well."""
    total = 0
    for pid in tree(pids):
        with suppress(OSError):
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
            total += sum(map(int, after_name.split()[11:15]))
    return total * TICK_MS


def memory_mb(pids: Iterable[int]) -> float:
    """Return the memory of these processes and their descendants; shared pages are divided among them."""
    total = 0
    for pid in tree(pids):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(each.split()[1]) for each in lines if each[:4] == "Pss:")
    return total / 1000


def busy_ms() -> float:
    """Return how long the machine's processors have been busy in all, with whatever it was."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) * TICK_MS


def state() -> dict[str, object]:
    """Return what a reader must know of the machine and of the code."""
    models = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((each for each in models if each.startswith("model name")), ": ?")
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout
    return {
        "commit": commit.strip(),
        "processor": model.partition(": ")[2],
        "processors": PROCESSORS,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }
