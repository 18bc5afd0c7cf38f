"""What goes wrong in a run: a list of faults that a seed gives, each at a place or at a time of its own.

Every fault can be left out without disturbing the others, so that a schedule that fails can be made smaller.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from services.notification.outcomes import Policy
from verification.simulation.chance import Chance
from verification.simulation.profiles import PROFILES, Weights

SERVICES = ["order", "notification"]
TIMED = {"clock", "sidecar", "stop", "pause", "disk", "broker"}
"""What happens at a time of its own."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: at the n-th time that something happens, or at this second.

    `what` names what happens ("publish"), and `act` how it goes wrong then ("false"); `size` is in seconds.
    """

    what: str
    act: str
    at: float
    size: float = 0.0

    @property
    def kind(self) -> str:
        """What it is, wherever it happens."""
        return f"{self.what}: {self.act}"

    def __str__(self) -> str:
        """Return it in one line."""
        size = f" ({self.size:.1f} s)" if self.size else ""
        return f"{self.what} {self.at:g}: {self.act}{size}"


@dataclass(frozen=True)
class Schedule:
    """One run: so many orders, these faults, and what is done with a mail of which nobody knows."""

    seed: int
    profile: str
    orders: int
    faults: tuple[Fault, ...] = field(default=())
    unknown_mail: Policy = "resend"
    # To an API that deduplicates, in place of an SMTP server.
    mails_by_api: bool = False

    def only(self, numbers: Iterable[int]) -> "Schedule":
        """Return this schedule with the faults of these numbers alone."""
        return replace(self, faults=tuple(self.faults[each] for each in numbers))


LATEST = {
    "crash": 70,
    "commit": 60,
    "begin": 80,
    "publish": 6,
    "message": 6,
    "delivery": 8,
    "send": 5,
    "ask": 16,
}
"""How late something may go wrong, counted in how often it happens."""
ORDERS = 6
MAX_FAULTS = 9
SECONDS = 6.0
"""How long faults that have a time begin; the orders come in this time too."""
LASTS = {"pause": (5.0, 130.0), "disk": (0.5, 8.0)}
"""How long what has a time lasts, from the least to the most; the rest as USUALLY."""
USUALLY = (1.0, 15.0)


def schedule(seed: int, profile: str | None = None) -> Schedule:
    """Return the schedule of this seed; where no profile is asked for, they take turns."""
    profile = profile or [*PROFILES][seed % len(PROFILES)]
    chance = Chance(seed, f"schedule of {profile}")
    orders = chance.number(2, ORDERS)
    weights = PROFILES[profile].faults
    faults = {
        _fault(chance, weights): None for _ in range(chance.number(1, MAX_FAULTS))
    }
    unknown: Policy = chance.one_of(["resend", "resend", "hold"])
    by_api = chance.one_of([False, True])
    return Schedule(seed, profile, orders, tuple(faults), unknown, by_api)


def _fault(chance: Chance, weights: Weights) -> Fault:
    what, act = _drawn(chance, weights)
    if what not in TIMED:
        return Fault(what, act, chance.number(1, LATEST.get(what, ORDERS)))
    at = round(chance.between(0, SECONDS), 2)
    if what != "clock":
        return Fault(what, act, at, chance.between(*LASTS.get(what, USUALLY)))
    step = chance.between(1, 2) * chance.one_of([1.0, 60.0, 3600.0])
    return Fault(what, act.split()[0], at, -step if act.endswith("back") else step)


def _drawn(chance: Chance, weights: Weights) -> tuple[str, str]:
    each = [(what, act) for what in weights for act in weights[what]]
    left = chance.number(1, sum(weights[what][act] for what, act in each))
    for what, act in each:
        left -= weights[what][act]
        if left <= 0:
            break
    return what, act
