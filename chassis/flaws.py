"""The known flaws of daprd, Dapr's sidecar, by version, and the version that everything was tested on.

The standard library alone is imported here: set-up warns of them before any package is installed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Flaw:
    """A flaw of some versions of daprd, and its effect here."""

    effect: str
    since: Version = (0, 0, 0)
    fixed: Version = (9, 0, 0)

    def is_in(self, version: Version) -> bool:
        """Return whether a version has it."""
        return self.since <= version < self.fixed


TESTED = "1.18.2"
"""The daprd that all tests run on; what a newer one changes is known from its release notes alone."""
FLAWS = (
    Flaw(
        "crashes on an event whose `traceid` or `traceparent` is not a string (fixed in 1.18.3).\n"
        "These services publish no such event; one from elsewhere stops its sidecar again and again.",
        fixed=(1, 18, 3),
    ),
    Flaw(
        "stops updating its metrics after a hot reload of its configuration, until it is restarted\n"
        "(fixed in 1.18.5).",
        fixed=(1, 18, 5),
    ),
    Flaw(
        "ends the retry of a delivery after `processingTimeout`, where the broker's component has one\n"
        "(15 s): the event then goes to the dead-letter topic. Nothing is lost: what the inbox lacks,\n"
        "the pull brings.",
        since=(1, 18, 5),
    ),
    Flaw(
        "can be got round access control with `%2F` in a path, and passes a caller's own\n"
        "`dapr-caller-app-id` on (both fixed in 1.19).",
        fixed=(1, 19, 0),
    ),
)


def numbers(version: str) -> Version:
    """Return the three numbers of a version; what follows them (`-rc.1`) does not matter here."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if not found:
        raise ValueError(version)
    return int(found[1]), int(found[2]), int(found[3])


def known_flaws(version: str) -> Iterator[str]:
    """Yield the effect of each flaw that a version has."""
    found = numbers(version)
    yield from (flaw.effect for flaw in FLAWS if flaw.is_in(found))
