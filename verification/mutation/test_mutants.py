"""The mutants stay true to the code: each fits it, and each promise has one."""

import subprocess
import sys
from pathlib import Path

from verification.mutation.mutant import load
from verification.mutation.promises import ROOT, promises

MUTANTS = load()


def test_each_mutant_can_be_applied_and_compiled() -> None:
    for each in MUTANTS:
        file, text = each.apply()
        if file.suffix == ".py":
            compile(text, f"{file} with: {each.new}", "exec")


def test_no_mutant_uses_an_unknown_name(tmp_path: Path) -> None:
    """Code that fails because of that would be noticed by any test."""
    for number, each in enumerate(MUTANTS):
        file, text = each.apply()
        if file.suffix == ".py":
            (tmp_path / f"{number}.py").write_text(text)

    check = ("-m", "ruff", "check", "--isolated", "--select=F821,F823", str(tmp_path))
    ended = subprocess.run(
        [sys.executable, *check], cwd=ROOT, capture_output=True, check=False, text=True
    )

    assert ended.returncode == 0, ended.stdout


def test_each_promise_has_its_mutant() -> None:
    assert len(promises()) > 20
    of_guarantees = [each for each in MUTANTS if each.document == "guarantees"]
    assert [each.promise() for each in of_guarantees] == [
        each.text for each in promises()
    ]


def test_each_promise_between_app_and_sidecar_and_of_event_keys_has_its_mutant() -> (
    None
):
    document = (ROOT / "docs" / "security.md").read_text()
    section = document.partition("## Between app and")[2].partition("## Personal")[0]
    promised = [
        each for each in promises(name="security") if f"| {each.text} |" in section
    ]

    broken = [each.promise() for each in MUTANTS if each.document == "security"]

    assert broken == [each.text for each in promised]
