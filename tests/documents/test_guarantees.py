"""docs/guarantees.md and docs/security.md: each promise names the tests that hold it, and they exist."""

import ast
import re
from pathlib import Path

import pytest

from verification.mutation.promises import ROOT, promises


def names_in(file: Path) -> set[str]:
    """Return the names of the tests in a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.parse(file.read_text()).body if file.exists() else []
    return {node.name for node in nodes if isinstance(node, functions)}


@pytest.mark.parametrize(("name", "at_least"), [("guarantees", 20), ("security", 10)])
def test_every_promise_is_one_sentence_and_names_a_test(
    name: str, at_least: int
) -> None:
    found = promises(name=name)

    texts = [each.text for each in found]
    assert len(texts) >= at_least
    assert [each for each in texts if not re.fullmatch(r"[A-Z0-9].*\.", each)] == []
    assert [each.text for each in found if not each.tests] == []


@pytest.mark.parametrize("name", ["guarantees", "security"])
def test_every_test_that_is_named_exists(name: str) -> None:
    named = {each for promise in promises(name=name) for each in promise.tests}

    missing = [
        (file, test) for file, test in named if test not in names_in(ROOT / file)
    ]

    assert missing == []
