"""A line of the log, as people read it: time, part, level, text, whichever way its part wrote it."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chassis.text import escaped
from toolchain.supervise.record import Record

LEVELS: Mapping[str, str] = {
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARN": "WARN",
    "WARNING": "WARN",
    "ERROR": "ERROR",
    "CRITICAL": "ERROR",
    "FATAL": "ERROR",
    "PANIC": "ERROR",
}
"""The words of daprd, of Python and of JSON logs, and the column that each is shown in."""

OF_A_SIDECAR = " sidecar"
OF_THE_GATEWAY = "gateway"
"""Of its access log, what it could not pass on, or refused by its limits, is for everybody."""
QUIET = ("INFO", "DEBUG")

LONGEST = 4000
"""Characters of a line that a terminal shows."""

EXPECTED = re.compile(
    r"mTLS is disabled|increasedCardinality|A non-YAML resiliency file|Actor runtime disabled|"
    r"App channel is not initialized|No scheduler host addresses|smtp binding warn: User and password are empty|"
    r"reset: connection.Close\(\) returned|failed to complete with error: .*context canceled"
)
"""Warnings of a sidecar at each start and end of what was chosen on purpose, and of a live page that is left."""

OF_THE_CLI = re.compile(
    r"\N{INFORMATION SOURCE}|\N{WHITE HEAVY CHECK MARK}|Exited App successfully|"
    r"termination signal received: shutting down"
)
"""What the CLI says where all is well; what it says of its own beside that is shown."""

_PYTHON = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):?\s+(.*)", re.DOTALL)
_FIELD = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)')
_COLOURED = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Line:
    """A line to show; without a level it is what the part printed, as it is.

    A report is what its supervisor says of it.
    """

    at: float
    part: str
    level: str
    text: str
    is_report: bool = False

    @property
    def is_a_sidecars(self) -> bool:
        """Return whether a sidecar wrote it."""
        return self.part.endswith(OF_A_SIDECAR)


def parse(record: Record) -> list[Line]:
    """Return the line that a part wrote, none for a blank one, and below it a traceback that is in it."""
    text = _COLOURED.sub("", record.text.decode(errors="backslashreplace")).rstrip()
    level, text = (record.level, text) if record.level else _read(text)
    is_report = bool(record.level)
    first, *below = map(escaped, text.split("\n"))
    lines = [Line(record.at, record.part, level, first, is_report)] if first else []
    return [*lines, *(Line(record.at, record.part, "", f"  {each}") for each in below)]


def is_shown(line: Line, *, info: bool) -> bool:
    """Return whether a line is for everybody; with `info`, so is all that a sidecar or the CLI says."""
    if info or line.is_report or line.level == "ERROR":
        return True
    if line.part == OF_THE_GATEWAY and line.level == "INFO":
        return False
    if line.part == "dapr":
        return not OF_THE_CLI.search(line.text)
    if not line.is_a_sidecars or not line.level:
        return True
    return line.level == "WARN" and not EXPECTED.search(line.text)


def _read(text: str) -> tuple[str, str]:
    """Return level and text of a line of daprd, of a JSON log, of Python's logging, or of another kind."""
    if text.startswith("time="):
        return _of_daprd(text)
    if text.startswith("{"):
        with suppress(ValueError, RecursionError):
            return _of_json(json.loads(text), text)
    if found := _PYTHON.match(text):
        return LEVELS[found[1]], found[2]
    return "", text


def _of_daprd(text: str) -> tuple[str, str]:
    fields = {name: _unquoted(value) for name, value in _FIELD.findall(text)}
    level = LEVELS.get(fields.get("level", "").upper(), "")
    if component := fields.get("component"):
        fields["component"] = component.split(" (")[0]  # without its type
    # What is the same in all lines of a sidecar is left out.
    usual = {"time", "level", "msg", "app_id", "instance", "scope", "type", "ver"}
    return level, _with_details(fields.pop("msg", text), fields, usual)


def _unquoted(value: str) -> str:
    with suppress(ValueError):
        return str(json.loads(value)) if value.startswith('"') else value
    return value.strip('"')


def _of_json(found: Any, text: str) -> tuple[str, str]:  # noqa: ANN401 - whatever JSON may hold
    if not isinstance(found, dict):
        return "", text
    names = {name.lower(): name for name in found}
    level = _first(found, names, "level", "severity", "levelname", "severity_text")
    message = _first(found, names, "message", "msg", "body", "event")
    if not message:
        return "", text
    logger = _first(found, names, "logger", "name", "scope")
    usual = {
        *("level", "severity", "levelname", "severity_text", "message", "msg", "body"),
        *("logger", "name", "scope", "time", "timestamp", "ts", "service", "app_id"),
    }
    details = {each: str(found[names[each]]) for each in names}
    said = f"{logger}: {message}" if logger else message
    below = "".join(f"\n{each}" for each in details.pop("traceback", "").splitlines())
    shown = f"{_with_details(said, details, usual)}{below}"
    return LEVELS.get(level.upper(), ""), shown


def _first(found: Mapping[str, Any], names: Mapping[str, str], *wanted: str) -> str:
    return next((str(found[names[each]]) for each in wanted if each in names), "")


def _with_details(message: str, fields: Mapping[str, str], usual: set[str]) -> str:
    details = [
        f"{name}={value}"
        for name, value in fields.items()
        if name not in usual and value not in ("", "None")
    ]
    return f"{message} ({', '.join(details)})" if details else message


DIM, BOLD = "2", "1"
OF_LEVEL = {"WARN": "33", "ERROR": "1;31", "INFO": DIM, "DEBUG": DIM}
OF_PART = ("36", "35", "34", "32", "96", "95", "94", "92")
"""The colours of the apps, in the order in which they come; red and yellow are for errors and warnings."""


@dataclass(frozen=True)
class Look:
    """How lines are shown: the apps in the order of their colours, and whether there are colours."""

    apps: tuple[str, ...]
    coloured: bool = False

    def show(self, line: Line) -> str:
        """Return one line for the terminal, without its end."""
        at = datetime.fromtimestamp(line.at, UTC).strftime("%H:%M:%S.%f")[:-3]
        width = max(map(len, self.apps), default=0) + len(OF_A_SIDECAR)
        text = line.text
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]} … and {len(text) - LONGEST:,} characters more"
        is_quiet = line.is_a_sidecars and line.level in QUIET and not line.is_report
        columns = (
            (DIM, at),
            (self._colour_of(line.part), f"{line.part:<{width}}"),
            (OF_LEVEL.get(line.level, ""), f"{line.level:<5}"),
            (DIM if is_quiet else "", text),
        )
        return "  ".join(self._paint(colour, each) for colour, each in columns)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured and colour else text

    def _colour_of(self, part: str) -> str:
        # An app and its sidecar belong together.
        app = part.removesuffix(OF_A_SIDECAR)
        if app not in self.apps:
            return ""
        colour = OF_PART[self.apps.index(app) % len(OF_PART)]
        return colour if part != app else f"{BOLD};{colour}"
