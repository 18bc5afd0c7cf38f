"""The list of safeguards does not rot: each fits the code, and names tests that are there."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

from tests.prove.all_safeguards import THEMES
from tests.prove.safeguard import ROOT

SAFEGUARDS = [each for theme in THEMES.values() for each in theme]


def test_each_safeguard_can_be_removed() -> None:
    for each in SAFEGUARDS:
        text = each.removed()
        if each.file.endswith(".py"):
            compile(text, f"{each.file} without: {each.name}", "exec")


def test_no_name_is_missing_where_a_safeguard_was(tmp_path: Path) -> None:
    """Code that fails by that would be noticed by any test, whatever the safeguard was."""
    for number, each in enumerate(SAFEGUARDS):
        if each.file.endswith(".py"):
            (tmp_path / f"{number}.py").write_text(each.removed())

    ruff = [".venv/bin/ruff", "check", "--isolated", "--select=F821,F823"]
    said = subprocess.run(
        [*ruff, str(tmp_path)], cwd=ROOT, capture_output=True, check=False, text=True
    )

    assert said.returncode == 0, said.stdout


@cache
def names_in(file: str) -> set[str]:
    """Give the names of the functions of a file."""
    tree = ast.parse((ROOT / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


def test_every_test_that_is_to_notice_is_there() -> None:
    for each in SAFEGUARDS:
        assert each.tests or each.faults, f"nothing is to notice: {each.name}"
        for test in each.tests:
            file, _, name = test.partition("[")[0].partition("::")
            assert name in names_in(file), f"{test} is to notice: {each.name}"


def test_each_safeguard_has_a_name_of_its_own() -> None:
    names = [each.name for each in SAFEGUARDS]

    assert [name for name in names if names.count(name) > 1] == []


def test_each_promise_is_proven() -> None:
    """Of the tests that a row of docs/guarantees.md names, one is seen to fail without its safeguard."""
    rows = re.findall(
        r"^\| (?!promise)(.+?) \| (.+) \|$",
        (ROOT / "docs" / "guarantees.md").read_text(),
        re.MULTILINE,
    )
    notice = {test.partition("[")[0] for each in SAFEGUARDS for test in each.tests}

    unproven = [
        said for said, held in rows if not notice & {*re.findall(r"`(.+?)`", held)}
    ]

    assert len(rows) > 20
    assert unproven == []
