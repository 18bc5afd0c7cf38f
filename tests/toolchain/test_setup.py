"""Set-up as a whole: what it prints, how it ends, and that a second run does nothing."""

import io
import shutil
import sys
from pathlib import Path

import pytest

from tests.toolchain.small_broker import HELLO, listening
from tests.toolchain.stand_ins import (
    GOOD_ENDING,
    bare_machine,
    calls,
    go_that,
    program,
    python_that_works,
)
from toolchain import setup, steps
from toolchain.machine import terminal, virtual_environment
from toolchain.machine.failure import Failure, exit_status
from toolchain.servers import postgresql


def test_a_second_run_does_nothing_and_says_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go_that(tmp_path, GOOD_ENDING)
    with listening(HELLO) as port:
        machine = bare_machine(tmp_path, RABBITMQ_URL=f"amqp://127.0.0.1:{port}")
        virtual_environment.prepare(machine, python_that_works(tmp_path))
        steps.set_up(machine)
        assert "is built from source, because" in capsys.readouterr().out
        done = [
            len(calls(tmp_path, "go")),
            len([c for c in calls(tmp_path, "pip") if "install" in c]),
        ]

        steps.set_up(machine)

    said = capsys.readouterr().out
    assert done == [
        len(calls(tmp_path, "go")),
        len([c for c in calls(tmp_path, "pip") if "install" in c]),
    ]
    assert len(said.splitlines()) <= 12
    assert said.rstrip().endswith("type: make run")


def test_postgresql_is_seen_to_where_it_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go_that(tmp_path, GOOD_ENDING)
    programs = tmp_path / "system" / "usr" / "lib" / "postgresql" / "15" / "bin"
    for name in postgresql.NEEDED:
        program(programs / name, "echo postgres 15.2")
    with listening(HELLO) as port:
        url = f"amqp://127.0.0.1:{port}"
        machine = bare_machine(tmp_path, RABBITMQ_URL=url, DATABASE="postgresql")
        virtual_environment.prepare(machine, python_that_works(tmp_path))

        steps.set_up(machine)

    assert f"version 15, {programs}" in capsys.readouterr().out


def test_worktrees_that_share_an_environment_are_not_set_up_at_once(
    tmp_path: Path,
) -> None:
    ours, other = bare_machine(tmp_path / "one"), bare_machine(tmp_path / "two")
    shutil.rmtree(ours.virtual_environment)
    ours.virtual_environment.symlink_to(other.virtual_environment)

    assert steps.lock_of(ours) == steps.lock_of(other)


def test_a_link_is_replaced_and_never_missing(tmp_path: Path) -> None:
    name = tmp_path / "daprd"
    steps.link(name, tmp_path / "old")

    steps.link(name, tmp_path / "new")

    assert name.readlink() == tmp_path / "new"
    assert [path.name for path in tmp_path.iterdir()] == ["daprd"]


def fail(error: BaseException) -> None:
    """Work that ends badly."""
    raise error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Failure("It broke", "Old.", "Buy one."), 1, ["It broke", "Old.", "Buy one."]),
        (KeyboardInterrupt(), 130, ["stopped; run it again to go on where it stopped"]),
        (OSError(28, "No space", "a-file"), 1, ["a-file", "No space", "Make room"]),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback(
    error: BaseException,
    code: int,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_status(lambda: fail(error)) == code

    said = capsys.readouterr()
    assert all(word in said.out for word in words)
    assert "Traceback" not in said.out + said.err


def test_a_python_that_is_too_old_is_told_so() -> None:
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer.* is 3\.9"):
        setup.refuse_old_python((3, 9))


def test_what_the_terminal_cannot_show_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)

    terminal.done("Python", "3 packages, München")

    screen.seek(0)
    assert screen.read() == "  + Python    3 packages, M?nchen\n"
