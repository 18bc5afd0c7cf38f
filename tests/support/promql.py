"""What the rules and dashboards of observability/ ask Prometheus for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from toolchain.runfile import ROOT

FOLDER = ROOT / "observability"
DASHBOARDS = sorted(FOLDER.glob("dashboards/*.json"))
RULES = sorted(FOLDER.glob("rules/*.yaml"))
_NOT_A_NAME = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without)\s*\([^)]*\)|\b[\d.]+[smhdw]?\b'
)
_WORDS = {
    "and",
    "or",
    "unless",
    "clamp_max",
    "histogram_quantile",
    "increase",
    "max",
    "rate",
    "sum",
    "time",
    "vector",
}
"""Operators and functions of PromQL that are in use."""


def names(expression: str) -> set[str]:
    """Return the metrics and recorded series that an expression of PromQL reads."""
    rest = _NOT_A_NAME.sub(" ", expression)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", rest)) - _WORDS


def rules() -> Iterator[dict[str, Any]]:
    """Yield every rule, alerts and recordings."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def expressions() -> Iterator[str]:
    """Yield the expressions of all dashboards and rules."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            yield from (each["expr"] for each in panel.get("targets", []))
    yield from (each["expr"] for each in rules())


def asked_for() -> set[str]:
    """Return the metrics that dashboards and rules read, without what rules record themselves."""
    found = set[str]().union(*map(names, expressions()))
    return found - {each["record"] for each in rules() if "record" in each}


def exposed(text: str) -> set[str]:
    """Return the series that a scrape offers, also those that have no sample yet."""
    found = set(re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", text, re.MULTILINE))
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE):
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {f"{name}{part}" for part in parts}
    return found


def sections(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as they are linked to."""
    heads = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in heads
    }
