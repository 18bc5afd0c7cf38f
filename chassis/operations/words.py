"""How long ago something was, and how many there are, as people read it."""

from datetime import datetime

UNITS = ((86_400, "day", "days"), (3600, "h", "h"), (60, "min", "min"))


def duration(seconds: float) -> str:
    """Return a duration in its largest whole unit: 3 s, 5 min, 2 h, 4 days."""
    for size, one, many in UNITS:
        if seconds >= 2 * size or (size == 86_400 and seconds >= size):
            number = int(seconds // size)
            return f"{number} {one if number == 1 else many}"
    return f"{max(0, int(seconds))} s"


def since(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was."""
    return duration((now - moment).total_seconds())


def precise(seconds: float) -> str:
    """Return how long something took: 0.4 ms, 12 ms, 1.3 s, 5 min."""
    if seconds >= 120:
        return duration(seconds)
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"


def counted(number: object, one: str, many: str) -> str:
    """Return a number with its noun: 1 event, 2 events, 10,000+ events."""
    return f"{number} {one if str(number) == '1' else many}"
