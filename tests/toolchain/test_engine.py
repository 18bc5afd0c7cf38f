"""Tests of the project's own Docker engine: whoever leaves it ends it for nobody else."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, calls, stand_in, until
from toolchain import containers
from toolchain.machine import Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an engine needs root")

OF_ENGINE = "$HOME/.cache/orders-on-dapr/containers"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with an engine that notes when it is told to end, and waits for `may-end`."""
    made = bare_machine(tmp_path)
    stand_in(
        tmp_path,
        "dockerd",
        f'echo $$ >"{OF_ENGINE}/pid"; touch "$RECORD/alive"\n'
        'trap \'touch "$RECORD/told"; until [ -e "$RECORD/may-end" ]; do sleep 0.01; done; '
        'rm "$RECORD/alive"; exit\' TERM\n'
        "while :; do sleep 0.01; done",
    )
    stand_in(
        tmp_path,
        "docker",
        'case "$1" in\n'
        'info) [ -n "$DOCKER_HOST" ] && [ -e "$RECORD/alive" ] && echo 20 ;;\n'
        'ps) [ ! -e "$RECORD/containers" ] || cat "$RECORD/containers" ;;\n'
        "esac",
    )
    (tmp_path / "may-end").touch()
    yield made
    with suppress(OSError):
        os.kill(int((made.cache / "containers" / "pid").read_text()), signal.SIGKILL)


def test_the_last_who_leaves_the_engine_ends_it(
    machine: Machine, tmp_path: Path
) -> None:
    with containers.running(machine):
        with containers.running(machine):
            assert len(calls(tmp_path, "dockerd")) == 1
        assert (tmp_path / "alive").exists()

    assert not (tmp_path / "alive").exists()


def test_an_engine_in_which_a_container_runs_is_left_alone(
    machine: Machine, tmp_path: Path
) -> None:
    with containers.running(machine):
        (tmp_path / "containers").write_text("0123456789ab\n")
    assert (tmp_path / "alive").exists()

    (tmp_path / "containers").unlink()
    with containers.running(machine):
        pass
    assert not (tmp_path / "alive").exists()


def test_who_comes_while_the_engine_ends_gets_a_new_one(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "may-end").unlink()
    entered, left = threading.Event(), threading.Event()
    found = []

    def leave_it() -> None:
        with containers.running(machine):
            pass
        left.set()

    def come() -> None:
        with containers.running(machine):
            entered.set()
            left.wait(60)
            found.append((tmp_path / "alive").exists())

    first, second = threading.Thread(target=leave_it), threading.Thread(target=come)
    first.start()
    until((tmp_path / "told").exists)
    second.start()
    # Who does not wait for the end is in now.
    entered.wait(0.3)
    (tmp_path / "may-end").touch()
    for each in (first, second):
        each.join(60)

    assert found == [True]
    assert len(calls(tmp_path, "dockerd")) == 2
