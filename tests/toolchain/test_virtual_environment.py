"""The virtual environment: made once, completed when the lock changes, made anew when it is half-made."""

import subprocess
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, calls, program, python_that_works
from toolchain.machine import Machine, virtual_environment
from toolchain.machine.failure import Failure


def made(folder: Path) -> Machine:
    """A machine whose virtual environment was made by set-up."""
    machine = bare_machine(folder)
    virtual_environment.prepare(machine, python_that_works(folder))
    return machine


def installations(folder: Path) -> list[str]:
    """The calls of pip that installed something."""
    return [call for call in calls(folder, "pip") if "install" in call]


def test_packages_are_installed_against_their_hashes(tmp_path: Path) -> None:
    made(tmp_path)

    (call,) = installations(tmp_path)
    assert "--require-hashes" in call
    assert "requirements-dev.txt" in call


def test_a_second_run_installs_nothing(tmp_path: Path) -> None:
    machine = made(tmp_path)

    virtual_environment.prepare(machine)

    assert len(installations(tmp_path)) == 1


def test_a_changed_lock_is_installed_into_the_same_environment(tmp_path: Path) -> None:
    machine = made(tmp_path)
    (machine.root / "requirements-dev.txt").write_text("one==2\n")

    virtual_environment.prepare(machine)

    assert len(installations(tmp_path)) == 2
    assert len(calls(tmp_path, "python3")) == 1


@pytest.mark.parametrize(
    "fault", ["no stamp", "no python", "python without its packages"]
)
def test_a_half_made_environment_is_made_anew(fault: str, tmp_path: Path) -> None:
    machine = made(tmp_path)
    if fault == "no stamp":
        (machine.virtual_environment / virtual_environment.STAMP).unlink()
    elif fault == "no python":
        virtual_environment.python(machine).unlink()
    else:
        program(virtual_environment.python(machine), "exit 1")

    virtual_environment.prepare(machine, python_that_works(tmp_path))

    assert len(calls(tmp_path, "python3")) == 2
    assert len(installations(tmp_path)) == 2


def test_a_failed_installation_says_why_and_is_not_taken_for_done(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    python = python_that_works(tmp_path)
    python.write_text(
        python.read_text().replace('>>"$RECORD/pip.calls"', "; echo no network; exit 1")
    )

    with pytest.raises(Failure, match="could not be installed") as failure:
        virtual_environment.prepare(machine, python)

    assert "no network" in failure.value.why
    assert not (machine.virtual_environment / virtual_environment.STAMP).exists()


def test_a_real_environment_is_made_of_the_python_that_runs_set_up(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    (machine.root / "requirements-dev.txt").write_text("# nothing\n")

    virtual_environment.prepare(machine)

    python = str(virtual_environment.python(machine))
    ask = [python, "-c", "import sys; print(sys.prefix)"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(machine.virtual_environment)
