"""What `make up` and `make down` refuse, wait for and remove; no engine runs."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Thread

import pytest

from tests.support.eventually import within
from tests.toolchain.stand_ins import bare_machine, stand_in
from toolchain import containers, runfile
from toolchain.containers import Engine
from toolchain.machine import Machine, this_machine
from toolchain.machine.failure import Failure
from toolchain.up import stack
from toolchain.up.__main__ import down, up

REFUSED: dict[str, tuple[Callable[[Machine], None], dict[str, str]]] = {
    "There is no such broker in containers: nonsense.": (up, {"BROKER": "nonsense"}),
    "a whole number from 0 to": (up, {"OFFSET": "abc"}),
    "No `make up` has started a system here at OFFSET=48999.": (down, {"OFFSET": "48999"}),
}  # fmt: skip


@pytest.mark.parametrize(("why", "typed"), REFUSED.items())
def test_what_cannot_be_is_refused_before_an_engine_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    why: str,
    typed: tuple[Callable[[Machine], None], dict[str, str]],
) -> None:
    verb, variables = typed
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(containers, "running", _asked)

    with pytest.raises(Failure) as refused:
        verb(this_machine())

    assert why in refused.value.why


def _asked(_: Machine) -> AbstractContextManager[Engine]:
    raise AssertionError("an engine is asked")


def test_a_second_make_up_waits_for_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offset = runfile.free_offset()
    monkeypatch.setenv("OFFSET", str(offset))
    monkeypatch.setattr(containers, "running", _asked)
    outcomes: list[str] = []

    def second() -> None:
        try:
            up(this_machine())
        except AssertionError as error:
            outcomes.append(str(error))

    waits = Thread(target=second)
    try:
        with stack.alone(offset):
            waits.start()
            within(60, lambda: "waiting for it" in capsys.readouterr().out, "it waits")
            assert not outcomes
        waits.join(60)
    finally:
        (runfile.state_of(offset) / "compose.lock").unlink()
        runfile.state_of(offset).rmdir()

    assert outcomes == ["an engine is asked"]


def test_with_its_data_goes_the_volume_of_each_broker_that_a_system_has_run_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's plugin leaves those alone that belong to no profile."""
    offset = runfile.free_offset()
    monkeypatch.setenv("OFFSET", str(offset))
    monkeypatch.setenv("DATA", "no")
    asked = 'echo "$COMPOSE_PROFILES $@" >>"$RECORD/asked"'
    stand_in(tmp_path, "docker", f"{asked}; echo 29.0")
    folder = stack.folder_of(offset)
    folder.mkdir(parents=True)
    (folder / "env").write_text("COMPOSE_PROFILES=redis\n")

    try:
        down(bare_machine(tmp_path))
        assert not folder.exists()
    finally:
        shutil.rmtree(runfile.state_of(offset))

    last = (tmp_path / "asked").read_text().splitlines()[-1]
    assert last.startswith("rabbitmq,redis,kafka compose ")
    assert last.endswith(" down --remove-orphans --volumes")
