"""Which tests share a running system, by their names: they belong into one process, one after the other."""

import os
from pathlib import Path

from tests.support.variants import VARIANTS

SYSTEMS = ["-".join(variant) for variant in VARIANTS]


def shared_by(nodeid: str) -> str:
    """Name the running system that a test shares with others, or the test itself where it shares none."""
    where, _, variant = nodeid.partition("[")
    if where.startswith("tests/conformance/") and "simulated" not in variant:
        return "conformance"
    if where.startswith("tests/gateway/"):
        return "gateway"
    if where.startswith("tests/journeys/"):
        for system in SYSTEMS:
            if system in variant:
                return f"journeys {system}"
    return nodeid


def only_here(folder: Path, shared: str) -> None:
    """See that no other process of this run has this system, too; `folder` is one that each of them knows.

    Nothing else would show that tests are dealt out otherwise: they pass, most of the time.
    """
    file = folder / f"{shared}.process"
    me = str(os.getpid())
    try:
        with file.open("x") as new:
            new.write(me)
    except FileExistsError:
        other = file.read_text()
        assert other == me, f"{shared} runs in the processes {other} and {me}"
