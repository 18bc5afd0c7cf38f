"""What goes wrong in a run: a list of faults that a seed gives, each at a place or at a time of its own.

Every fault can be left out without disturbing the others, so that a schedule that fails can be made smaller.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.simulation.chance import Chance

SERVICES = ["order", "notification"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: at the n-th time that something happens, or at this second.

    `what` names what happens ("publish"), and `act` how it goes wrong then ("false"); `size` is in seconds.
    """

    what: str
    act: str
    at: float
    size: float = 0.0

    def __str__(self) -> str:
        """Write it in one line."""
        size = f" ({self.size:.1f} s)" if self.size else ""
        return f"{self.what} {self.at:g}: {self.act}{size}"


@dataclass(frozen=True)
class Schedule:
    """One run: so many orders, and these faults."""

    seed: int
    profile: str
    orders: int
    faults: tuple[Fault, ...] = field(default=())

    @property
    def mails_by_api(self) -> bool:
        """Tell whether mails go to an API that deduplicates: in every other run of each profile."""
        return self.seed // len(PROFILES) % 2 == 1

    def only(self, places: Iterable[int]) -> "Schedule":
        """Leave out all faults but those at these places of the list."""
        return replace(self, faults=tuple(self.faults[each] for each in places))


CRASHES = {"crash": [each for each in SERVICES for _ in range(3)]}
MAIL = {
    "send": [
        *("drop before", "drop after", "lose the answer", "hang", "slow"),
        *("refuse for now", "refuse for good"),
    ]
}
CALLS = {"ask": ["away", "hang", "empty", "cut"], "order": ["lose the answer", "empty"]}
TIMES = {
    "clock": [f"{each} {way}" for each in SERVICES for way in ("back", "forward")],
    "sidecar": SERVICES,
    "stop": SERVICES,
}
COMMON = [CRASHES, CRASHES, MAIL, CALLS, TIMES]

PROFILES: dict[str, list[dict[str, list[str]]]] = {
    # The component answers 204 for what the broker never confirmed; a queue loses what nobody hears.
    "rabbitmq": [
        *COMMON,
        {"publish": ["false", "away", "lose the answer", "hang", "refuse one"]},
        {"message": ["delay", "duplicate"], "delivery": ["acknowledge", "again"]},
        {"broker": ["away", "wiped"]},
    ],
    # What takes long is handed to a second worker, and a killed sidecar's share is taken over late.
    "redis": [
        *COMMON,
        {"publish": ["away", "lose the answer", "hang"], "message": ["park", "delay"]},
        {"delivery": ["again", "again", "acknowledge"], "broker": ["away"]},
    ],
    # A subscription may stand still until the sidecar's next start, and then everything comes again.
    "kafka": [
        *COMMON,
        {"publish": ["away", "lose the answer", "hang"]},
        {"message": ["park", "park", "duplicate"], "delivery": ["again"]},
        {"broker": ["away", "stands still"]},
    ],
    "worst": [
        CRASHES,
        *COMMON,
        {"publish": ["false", "false", "away", "lose the answer", "hang"]},
        {"message": ["drop", "drop", "park", "delay", "duplicate"]},
        {"delivery": ["acknowledge", "acknowledge", "again"]},
        {"broker": ["away", "wiped", "stands still"]},
    ],
}
"""What goes wrong with each kind of broker; what stands there twice does so twice as often."""

PLACES = {"crash": 70, "publish": 6, "message": 6, "delivery": 8, "send": 5, "ask": 40}
"""How late something may go wrong, counted in how often it happens."""
ORDERS = 6
SECONDS = 6.0
"""How long faults that have a time begin; the orders come in this time too."""


def schedule(seed: int) -> Schedule:
    """Make what goes wrong in the run of this seed; the profiles take turns."""
    profile = [*PROFILES][seed % len(PROFILES)]
    chance = Chance(seed, f"schedule of {profile}")
    orders = chance.number(2, ORDERS)
    faults = {_fault(chance, profile): None for _ in range(chance.number(1, 9))}
    return Schedule(seed, profile, orders, tuple(faults))


def _fault(chance: Chance, profile: str) -> Fault:
    kinds = chance.one_of(PROFILES[profile])
    what = chance.one_of(list(kinds))
    act = chance.one_of(kinds[what])
    if what == "clock":
        step = chance.between(1, 2) * chance.one_of([1.0, 60.0, 3600.0])
        step = -step if act.endswith("back") else step
        return Fault(what, act.split()[0], round(chance.between(0, SECONDS), 2), step)
    if what in {"sidecar", "stop", "broker"}:
        lasts = chance.between(1, 15)
        return Fault(what, act, round(chance.between(0, SECONDS), 2), lasts)
    if what == "crash":
        return Fault(what, act, chance.number(1, PLACES[what]))
    return Fault(what, act, chance.number(1, PLACES.get(what, ORDERS)))
