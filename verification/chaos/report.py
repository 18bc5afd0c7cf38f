"""What a run has shown, and what is printed while it runs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.chaos.faults import Journal
from verification.chaos.ledger import Ledger
from verification.chaos.plan import Setting


@dataclass(frozen=True)
class Report:
    """What a run has shown; `settled` is the seconds until all was at its end, None where it never was."""

    setting: Setting
    ledger: Ledger
    journal: Journal
    trouble: Mapping[str, int]
    placing: float
    settled: float | None
    seconds: float
    evidence: Path | None = None

    @property
    def is_clean(self) -> bool:
        """Whether everything ended well, and the system recovered after each fault."""
        back = all(each["recovered"] is not None for each in self.journal.entries)
        return self.ledger.is_clean and self.settled is not None and back

    @property
    def recoveries(self) -> list[float]:
        """Return the seconds after each fault until an order placed then was notified, where it was in time."""
        times = (each["recovered"] for each in self.journal.entries)
        return [each for each in times if each is not None]


def print_entry(entry: Mapping[str, Any], placed: int) -> None:
    """Print what was done, while the run goes on."""
    back = entry["recovered"]
    whole = "NOT RECOVERED IN TIME" if back is None else f"recovered after {back:.1f} s"
    what = f"{entry['kind']}, {entry['part']}"
    groups = entry["groups"]
    if groups:
        whole += f"; {len(groups)} groups of {min(groups)} to {max(groups)} units"
    sys.stderr.write(
        f"  {entry['at']:>5.0f} s  {placed:>7,} orders  {what:<34} {entry['seconds']:>4.0f} s  {whole}\n"
    )
    sys.stderr.flush()
