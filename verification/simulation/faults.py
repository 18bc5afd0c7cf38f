"""The faults of a run as they come: at the n-th time that something happens, or at a time of their own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from verification.simulation.schedule import TIMED, Fault


@dataclass
class Faults:
    """What goes wrong in one run, until it is over."""

    all: Sequence[Fault]
    injected: Counter[str] = field(default_factory=Counter)
    are_over: bool = False
    _happened: Counter[str] = field(default_factory=Counter)

    def take(self, what: str) -> str:
        """Count that something happens; return how it goes wrong this time, or nothing."""
        self._happened[what] += 1
        for each in self.all:
            if each.what == what and each.at == self._happened[what]:
                return self._injected(each)
        return ""

    def kills(self, service: str) -> bool:
        """Count a crash point of a service; return whether it dies here."""
        point = f"crash point of {service}"
        self._happened[point] += 1
        due = Fault("crash", service, self._happened[point])
        return due in self.all and bool(self._injected(due))

    def timed(self) -> list[Fault]:
        """Return those that come at a time of their own, the first one first."""
        return sorted(
            (each for each in self.all if each.what in TIMED), key=lambda each: each.at
        )

    def _injected(self, fault: Fault) -> str:
        if self.are_over:
            return ""
        self.injected["crash" if fault.what == "crash" else "fault"] += 1
        self.injected[fault.kind] += 1
        return fault.act

    def comes(self, fault: Fault) -> None:
        """Count one that came at its time."""
        self._injected(fault)
