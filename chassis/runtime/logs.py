"""The log: each record once, on standard error, as text for a terminal or as one JSON object a line.

A line hurts nobody: it is bounded (`dapr run` stops reading at 64 KiB, and then the app stands still), it has no
control characters, what repeats is left out, and it is written by a thread that may wait for its reader. What
libraries have to say of their work, with what customers sent in it, is never logged at any level.
"""

import atexit
import json
import logging
import re
import sys
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from chassis.runtime import telemetry
from chassis.runtime.lines import LineWriter
from chassis.text import without_addresses

Format = Literal["text", "json"]

LONGEST = 4000
"""Characters of a message, and of the traceback below it twice as many: in UTF-8 four bytes each, at most."""
BURST, WINDOW = 50, 10.0
"""Records of one kind within so many seconds; further ones are left out."""
OURS = ("chassis", "services", "contracts")
"""The packages that log at the level that is set; all others only warn."""
_KINDS = 1000
_LIBRARY = re.compile(r"site-packages|lib/python3|^<frozen")
_IDS = {"subject": "subject", "event_id": "event"}
"""What a record may name beside its message (`extra`), and how it is shown."""


def about(event: str | bytes) -> dict[str, str]:
    """Return the ids in a CloudEvent as a record's `extra`: what it is about, and its own, where it has any."""
    try:
        found = json.loads(event)
        return {"subject": str(found["subject"]), "event_id": str(found["id"])}
    except (ValueError, RecursionError, TypeError, KeyError):
        return {}


def configure(service: str, level: str, form: Format) -> None:
    """Log to standard error, unless something else has set up the log."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = _Handler()
    handler.setFormatter(Json(service) if form == "json" else Text())
    handler.addFilter(Repetition())
    root.addHandler(handler)
    # At DEBUG a library would log whole batches, with what customers sent.
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(capture=True)
    atexit.register(flush)


def flush() -> None:
    """Wait a moment until what was logged is written: before the process ends."""
    _writer.flush(1.0)


def _ignore(_: Exception) -> None:
    """Where the log itself cannot be written, nobody can be told."""


_writer = LineWriter(lambda: sys.stderr, _ignore)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            _writer.put(self.format(record))
        except Exception:  # noqa: BLE001 - a line that cannot be made is no reason to fail
            _writer.put(f"ERROR {__name__}: a line of {record.name} cannot be shown")


class Text(logging.Formatter):
    """A record for a terminal: level, logger, message, ids, and below it the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        ids = ", ".join(f"{name} {value}" for name, value in _ids(record).items())
        line = f"{record.levelname} {record.name}: {_message(record)}"
        below = "".join(f"\n  {each}" for each in _trace(record))
        return f"{line} ({ids}){below}" if ids else f"{line}{below}"


class Json(logging.Formatter):
    """A record as one JSON object."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        trace = telemetry.current.get()
        shown = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": _message(record),
            **_ids(record),
            **({"trace": trace[3:35]} if trace else {}),
        }
        if below := _trace(record):
            shown["traceback"] = "\n".join(below)
        return json.dumps(shown, ensure_ascii=False)


def _ids(record: logging.LogRecord) -> dict[str, str]:
    found = {shown: getattr(record, name, "") for name, shown in _IDS.items()}
    return {name: printable(value, 200) for name, value in found.items() if value}


def _message(record: logging.LogRecord) -> str:
    return printable(without_addresses(record.getMessage()), LONGEST)


def printable(text: str, longest: int) -> str:
    """Return a text without characters that would move the cursor or begin a line, and not longer than this."""
    cut = f"{text[:longest]} (cut off)" if len(text) > longest else text
    if cut.isprintable():
        return cut
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in cut
    )


def _trace(record: logging.LogRecord) -> list[str]:
    """Return the traceback's lines, a frame each: ours, and where a library raised."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return []
    lines: list[str] = []
    for each in _chain(error):
        *frames, last = traceback.extract_tb(each.__traceback__) or [None]
        shown = [one for one in frames if one and not _LIBRARY.search(one.filename)]
        lines += [_frame(one) for one in (*shown, last) if one]
        lines.append(f"{type(each).__name__}: {words(each)}")
    bounded = [printable(line, 500) for line in lines]
    while sum(map(len, bounded)) > 2 * LONGEST:
        del bounded[0]
    return ["Traceback (most recent call last):", *bounded]


def _frame(frame: traceback.FrameSummary) -> str:
    return f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.insert(0, cause)
        hidden = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or hidden
    return found


def words(error: BaseException) -> str:
    """Return what an error says, without what customers sent."""
    if isinstance(error, ValidationError):
        # Its own text quotes what was given.
        places = [".".join(map(str, each["loc"])) for each in error.errors()]
        return f"{error.title}: {', '.join(places)}"
    # PostgreSQL shows the row in what follows the first line.
    return without_addresses(str(error).split("\nDETAIL:")[0])


@dataclass
class _Kind:
    since: float
    number: int = 0


@dataclass
class Repetition(logging.Filter):
    """Leaves out records of a kind after so many within a short time, and says how many that were."""

    _kinds: dict[tuple[object, ...], _Kind] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Return what tells it from other filters."""
        return id(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        error = record.exc_info[0] if record.exc_info else None
        name, now = (record.name, record.levelno, record.msg, error), time.monotonic()
        kind = self._kinds.get(name)
        if kind is None or now - kind.since >= WINDOW:
            self._begin(name, now)
            if kind and kind.number > BURST:
                _add(record, f"{kind.number - BURST} more like this were left out")
            return True
        kind.number += 1
        if kind.number == BURST:
            _add(record, f"more like this are left out for {WINDOW:.0f} s")
        return kind.number <= BURST

    def _begin(self, name: tuple[object, ...], now: float) -> None:
        if len(self._kinds) >= _KINDS:
            self._kinds.clear()
        self._kinds[name] = _Kind(now, 1)


def _add(record: logging.LogRecord, note: str) -> None:
    record.msg, record.args = f"{record.getMessage()} ({note})", None
