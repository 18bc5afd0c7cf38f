"""What a run has shown, and what is printed while it runs."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "setting": asdict(self.setting),
            "is_clean": self.is_clean,
            "ledger": self.ledger.as_json(),
            "journal": self.journal.entries,
            "trouble": dict(self.trouble),
            "placing": self.placing,
            "settled": self.settled,
            "seconds": self.seconds,
        }


def print_entry(entry: Mapping[str, Any], placed: int) -> None:
    """Print what was done, while the run goes on."""
    back = entry["recovered"]
    whole = "NOT RECOVERED IN TIME" if back is None else f"recovered after {back:.1f} s"
    what = f"{entry['kind']}, {entry['part']}"
    sys.stderr.write(
        f"  {entry['at']:>5.0f} s  {placed:>7,} orders  {what:<34} {entry['seconds']:>4.0f} s  {whole}\n"
    )
    sys.stderr.flush()


def write_json(reports: Sequence[Report], file: Path) -> None:
    """Write all that is known of these runs to a file."""
    file.write_text(json.dumps([each.as_json() for each in reports], indent=2))
