"""What is known to be vulnerable fails the audit; what nobody could ask about does not, and is named."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from toolchain.audit import __main__ as command
from toolchain.audit import advisories, programs
from toolchain.machine import this_machine

KNOWN = {
    "name": "click",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}],
}
CLEAN: dict[str, Any] = {"name": "idna", "version": "3", "vulns": []}
SKIPPED = {"name": "h11", "skip_reason": "Dependency not found"}


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a program in pip-audit's place."""
    place = folder / "bin" / "pip-audit"
    place.parent.mkdir()
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(programs, "FOLDER", folder)


def saying(*packages: dict[str, Any], status: int) -> str:
    """Return a script that says this of these packages."""
    return f"echo '{json.dumps({'dependencies': packages})}'; exit {status}"


def test_what_is_known_to_be_vulnerable_fails_the_audit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(monkeypatch, tmp_path, saying(KNOWN, CLEAN, status=1))

    assert command.main(["advisories"]) == 1
    assert "click 1.0: PYSEC-2026-1, fixed in: 1.1" in capsys.readouterr().out


def test_what_nobody_could_ask_about_is_called_unchecked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program itself calls that clean."""
    installed(monkeypatch, tmp_path, saying(CLEAN, SKIPPED, status=0))

    assert command.main(["advisories"]) == 0
    assert advisories.ask(this_machine().root, "requirements.txt").unchecked == ["h11"]
    assert (
        "1 checked, 0 known to be vulnerable, 1 NOT CHECKED" in capsys.readouterr().out
    )


@pytest.mark.parametrize("script", ["echo 'no route to host' >&2; exit 1", "exit 0"])
def test_without_a_network_the_audit_says_what_it_did_not_check(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
) -> None:
    installed(monkeypatch, tmp_path, script)

    assert command.main(["advisories"]) == 0
    assert "requirements.txt: NOT CHECKED" in capsys.readouterr().out


def test_where_nothing_is_installed_it_says_so_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "FOLDER", tmp_path)

    assert command.main(["advisories"]) == 0
    assert "requirements-dev.txt: NOT CHECKED" in capsys.readouterr().out


def test_a_part_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["licenses"]) == 2
    assert "There is no licenses" in capsys.readouterr().err
