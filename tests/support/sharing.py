"""Which tests share a running system, by their names: they belong into one process, one after the other."""

import os
from pathlib import Path

from tests.support.variants import VARIANTS

WHOLE = {
    "tests/containers/": "containers",
    "tests/deploy/test_kubernetes.py::": "API server",
    "tests/gateway/": "gateway",
    "tests/journeys/test_secure_run.py::": "secure run",
}
"""What has one system for all of its tests."""
SYSTEMS = ["-".join(variant) for variant in VARIANTS]


def shared_by(nodeid: str) -> str:
    """Name the running system that a test shares with others, or the test itself where it shares none."""
    where, _, variant = nodeid.partition("[")
    if where.startswith("tests/conformance/") and "simulated" not in variant:
        return "conformance"
    shared = dict(WHOLE)
    if where.startswith("tests/journeys/"):
        systems = (f"journeys {each}" for each in SYSTEMS if each in variant)
        shared[nodeid] = next(systems, nodeid)
    return next((shared[each] for each in shared if nodeid.startswith(each)), nodeid)


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
