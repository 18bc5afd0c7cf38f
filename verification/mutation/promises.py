"""The promises of docs/guarantees.md (and docs/security.md), and the tests that hold each of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?!promise|-)(.+?) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`([\w/.]+)::(test_\w+)`")


@dataclass(frozen=True)
class Promise:
    """One row: a sentence, and its tests as (file, name)."""

    text: str
    tests: tuple[tuple[str, str], ...]


@cache
def promises(root: Path = ROOT, name: str = "guarantees") -> tuple[Promise, ...]:
    """Return every row of a document that promises something."""
    return tuple(_rows((root / "docs" / f"{name}.md").read_text()))


def _rows(document: str) -> Iterator[Promise]:
    promised, _, _ = document.partition("## What is not promised")
    # Threats stand in a table too, before the promises that answer them.
    promised = promised.partition("## Who calls")[2] or promised
    for text, tests in _ROW.findall(promised):
        yield Promise(text, tuple(_TEST.findall(tests)))
