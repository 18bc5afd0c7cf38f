"""docs/guarantees.md: each promise names the tests that hold it, and they are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text()
ROWS = re.findall(r"^\| (?!promise)(.+?) \| (.+) \|$", GUARANTEES, re.MULTILINE)


def names_in(file: Path) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse(file.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


def test_every_promise_is_one_sentence_and_names_a_test() -> None:
    assert len(ROWS) >= 20
    assert [said for said, _ in ROWS if not re.fullmatch(r"[A-Z0-9].*\.", said)] == []
    assert [said for said, held in ROWS if "::test_" not in held] == []


def test_every_test_that_is_named_is_there() -> None:
    named = [
        each for _, held in ROWS for each in re.findall(r"`(.+?)::(test_\w+)`", held)
    ]

    missing = [
        (file, test)
        for file, test in named
        if not (ROOT / file).exists() or test not in names_in(ROOT / file)
    ]

    assert len(named) >= len(ROWS)
    assert missing == []
