"""Which tests share a running system, by their names: they belong into one process, one after the other."""

from tests.support.variants import VARIANTS

SYSTEMS = ["-".join(variant) for variant in VARIANTS]


def shared_by(nodeid: str) -> str:
    """Name the running system that a test shares with others, or the test itself where it shares none."""
    where, _, variant = nodeid.partition("[")
    if where.startswith("tests/conformance/") and "simulated" not in variant:
        return "conformance"
    if where.startswith("tests/journeys/"):
        for system in SYSTEMS:
            if system in variant:
                return f"journeys {system}"
    return nodeid
