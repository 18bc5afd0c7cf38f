"""Which dapr and daprd are used, refused and warned about."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import (
    GOOD_ENDING,
    bare_machine,
    calls,
    go_that,
    program,
    stand_in,
)
from toolchain import steps
from toolchain.dapr import programs
from toolchain.dapr.programs import CLI, SIDECAR
from toolchain.machine.failure import Failure

CLI_ANSWER = 'echo "CLI version: {}"; echo "Runtime version: 1.18.2"'


def test_a_suitable_daprd_on_the_path_is_used_and_nothing_is_built(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, GOOD_ENDING)
    present = stand_in(tmp_path, "daprd", "echo 1.18.4")

    assert steps.provide_program(machine, SIDECAR) == present

    assert (machine.programs / "daprd").readlink() == present
    assert calls(tmp_path, "go") == []


def test_dapr_is_found_where_its_installer_puts_it(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    present = program(tmp_path / "home" / ".dapr" / "bin" / "daprd", "echo 1.18.5")

    assert programs.choose(machine, SIDECAR) == present


def test_a_daprd_of_the_wrong_version_is_refused_and_ours_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, GOOD_ENDING)
    old = stand_in(tmp_path, "daprd", "echo 1.15.2")

    built = steps.provide_program(machine, SIDECAR)

    assert built.is_relative_to(machine.cache)
    assert programs.version_of(built) == "1.18.2"
    said = capsys.readouterr().out
    assert f"{old} is 1.15.2; needed is 1.18 or newer." in said
    assert "left untouched" in said


def test_the_first_suitable_one_wins_over_an_older_one_before_it(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    stand_in(tmp_path, "dapr", CLI_ANSWER.format("1.14.0"))
    newer = program(
        tmp_path / "home" / ".dapr" / "bin" / "dapr", CLI_ANSWER.format("1.17.0")
    )

    assert programs.choose(machine, CLI) == newer


def test_the_runtime_version_in_the_clis_second_line_does_not_count(
    tmp_path: Path,
) -> None:
    assert (
        programs.version_of(stand_in(tmp_path, "dapr", CLI_ANSWER.format("edge")))
        is None
    )


def test_an_explicit_daprd_that_does_not_suit_is_an_error_and_not_replaced(
    tmp_path: Path,
) -> None:
    wrong = program(tmp_path / "mine", "echo 1.17.0")
    machine = bare_machine(tmp_path, DAPRD=str(wrong))

    with pytest.raises(Failure, match="as DAPRD asks") as failure:
        programs.choose(machine, SIDECAR)

    assert f"{wrong} is 1.17.0; needed is 1.18 or newer." in failure.value.why
    assert "unset it" in failure.value.remedy


def test_an_explicit_daprd_comes_before_the_one_on_the_path(tmp_path: Path) -> None:
    stand_in(tmp_path, "daprd", "echo 1.18.4")
    mine = program(tmp_path / "mine", "echo 1.18.3")

    assert programs.choose(bare_machine(tmp_path, DAPRD=str(mine)), SIDECAR) == mine


def test_the_projects_own_links_are_not_taken_for_the_users_daprd(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    program(machine.root / "toolchain" / ".dapr" / "bin" / "daprd", "echo 1.18.2")
    program(machine.cache / "daprd-of-another-clone" / "daprd", "echo 1.18.2")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "daprd").symlink_to(
        machine.cache / "daprd-of-another-clone" / "daprd"
    )
    (machine.programs / "daprd").symlink_to(tmp_path / "programs" / "daprd")

    own = f"{machine.programs}:{machine.root / 'toolchain' / '.dapr' / 'bin'}:{tmp_path / 'programs'}"
    with_all = replace(machine, environment={**machine.environment, "PATH": own})
    assert list(programs.candidates(with_all, SIDECAR)) == []


@pytest.mark.parametrize(("version", "warnings"), [("1.18.2", 1), ("1.18.3", 0)])
def test_a_version_with_a_known_flaw_is_used_with_a_warning(
    version: str, warnings: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = bare_machine(tmp_path)
    stand_in(tmp_path, "daprd", f"echo {version}")

    steps.provide_program(machine, SIDECAR)

    assert capsys.readouterr().out.count("fixed in 1.18.3") == warnings


@pytest.mark.parametrize("version", ["1.16.0", "1.18.1-rc.2"])
def test_a_command_line_from_1_16_on_suits(version: str) -> None:
    assert programs.suits(CLI, version)


@pytest.mark.parametrize("version", ["1.15.9", "2.0.0", None])
def test_a_command_line_that_is_older_or_unknown_does_not_suit(
    version: str | None,
) -> None:
    assert not programs.suits(CLI, version)
