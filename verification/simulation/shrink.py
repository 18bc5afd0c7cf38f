"""Shrink a schedule that fails to the few faults without which it would not."""

from collections.abc import Callable, Sequence

from verification.simulation.schedule import Schedule


def shrink(schedule: Schedule, fails: Callable[[Schedule], bool]) -> list[int]:
    """Return the numbers of the faults that are left when halves, and then single ones, are taken out.

    Chance is keyed by actor and decision, so what is left happens mostly as it did before.
    """
    kept = list(range(len(schedule.faults)))
    size = len(kept)
    while size > 0:
        kept = _without_parts(kept, size, lambda places: fails(schedule.only(places)))
        size //= 2
    return kept


def _without_parts(
    kept: list[int], size: int, fails: Callable[[Sequence[int]], bool]
) -> list[int]:
    place = 0
    while place < len(kept):
        fewer = kept[:place] + kept[place + size :]
        if fails(fewer):
            kept = fewer
        else:
            place += size
    return kept
