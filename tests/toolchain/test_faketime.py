"""A process that goes by another time of day, where libfaketime is installed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine
from toolchain.machine import faketime, this_machine

SHOWN = "import time; print(time.time(), time.monotonic())"


def test_it_is_found_where_debian_puts_it(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    assert faketime.library(machine) is None

    folder = machine.system / "usr" / "lib" / "some-linux-gnu" / "faketime"
    folder.mkdir(parents=True)
    (folder / "libfaketime.so.1").touch()

    assert faketime.library(machine) == folder / "libfaketime.so.1"


def test_a_machine_without_packages_does_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faketime.prepare(bare_machine(tmp_path))

    assert "leave the clocks as they are" in capsys.readouterr().out


def test_a_process_sees_another_time_of_day_and_its_time_passes_truly(
    tmp_path: Path,
) -> None:
    library = faketime.library(this_machine())
    if library is None:
        pytest.skip("libfaketime is not installed")
    (tmp_path / "clock").write_text("-3600s\n")

    before = time.time(), time.monotonic()
    command = ["env", *faketime.environment(library, tmp_path / "clock")]
    said = subprocess.check_output([*command, sys.executable, "-c", SHOWN], text=True)
    after = time.time(), time.monotonic()

    seen, passed = map(float, said.split())
    assert before[0] - 3600 - 2 <= seen <= after[0] - 3600 + 2
    assert before[1] <= passed <= after[1]
