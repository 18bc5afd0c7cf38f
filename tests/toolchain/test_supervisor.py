"""The keeper: a part that dies is started again, one that cannot run is given up, and all end together."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.eventually import within
from toolchain.runfile import ROOT
from toolchain.supervise.supervisor import EX_CONFIG

KEEP = """
import sys
from toolchain.supervise.supervisor import Keeper
sys.exit(Keeper("part", sys.argv[1:], first_pause=0.01).run())
"""
FINISHES = """
import os, pathlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.write(1, b"up\\n")
signal.sigwait([signal.SIGTERM])
for _ in range(3):
    try:
        os.write(1, b"stopping\\n")
    except OSError:
        pass
pathlib.Path(sys.argv[1]).touch()
"""
PART = [sys.executable, "-c", FINISHES]
"""A part that stops as daprd does: on SIGTERM, with some last words, and then there is a file."""
SHELL = ["sh", "-c"]


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Name the file that is there when the part has finished."""
    return tmp_path / "finished"


@contextmanager
def kept(
    argument: str, command: Sequence[str] = SHELL
) -> Iterator[subprocess.Popen[str]]:
    """Keep a part running, a shell script or another; its output and the keeper's can be read."""
    keep = [sys.executable, "-c", KEEP, *command, argument]
    with subprocess.Popen(keep, cwd=ROOT, stdout=subprocess.PIPE, text=True) as keeper:
        try:
            yield keeper
        finally:
            keeper.kill()


def until(keeper: subprocess.Popen[str], pattern: str) -> list[str]:
    """Read lines until one matches; pytest's time-out is the deadline."""
    assert keeper.stdout
    lines = []
    for line in keeper.stdout:
        lines.append(line.rstrip("\n"))
        if re.search(pattern, line):
            return lines
    raise AssertionError(f"it ended without saying {pattern}; it said {lines}")


def test_a_part_that_dies_is_started_again_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    script = f"echo life >>{tmp_path}/lives; [ $(wc -l <{tmp_path}/lives) -gt 3 ] || exit 7; echo up; cat"
    with kept(script) as keeper:
        lines = until(keeper, "up")

    assert lines == [
        "keeper: part ended (exit status 7); it is started again until it runs",
        "up",
    ]


def test_how_a_part_was_killed_is_named(tmp_path: Path) -> None:
    script = (
        f"[ -e {tmp_path}/once ] && echo up && cat; touch {tmp_path}/once; kill -9 $$"
    )
    with kept(script) as keeper:
        assert "killed by SIGKILL" in until(keeper, "up")[0]


@pytest.mark.parametrize(
    ("says", "status"),
    [
        pytest.param("", EX_CONFIG, id="the status that says so"),
        pytest.param(
            'level=fatal msg="error loading configuration: bad"',
            1,
            id="a fatal line of daprd",
        ),
        pytest.param(
            "Error loading ASGI app. No module", 1, id="an app that is not there"
        ),
    ],
)
def test_a_part_whose_configuration_is_wrong_is_given_up_with_a_clear_word(
    says: str, status: int
) -> None:
    with kept(f"echo '{says}'; exit {status}") as keeper:
        lines = until(keeper, "the command was|it is started again")

        assert any(
            "keeper: part is not started again, as its configuration is wrong" in line
            for line in lines
        )
        assert keeper.wait() == EX_CONFIG
    if "bad" in says:
        assert "error loading configuration: bad" in lines[-2]


def test_a_broker_that_is_away_is_no_wrong_configuration(tmp_path: Path) -> None:
    fatal = 'level=fatal msg="[INIT_COMPONENT_FAILURE]: dial tcp: connection refused"'
    script = f"[ -e {tmp_path}/broker ] && echo up && cat; touch {tmp_path}/broker; echo '{fatal}'; exit 1"
    with kept(script) as keeper:
        assert "connection refused); it is started again" in until(keeper, "up")[1]


def test_an_address_that_stays_in_use_is_given_up_after_some_attempts() -> None:
    with kept("echo 'bind: address already in use'; exit 1") as keeper:
        lines = until(keeper, "the command was")

        assert keeper.wait() == EX_CONFIG
    assert (
        sum("address already in use" in line and "keeper" not in line for line in lines)
        == 5
    )


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_keeper_that_is_asked_to_stop_lets_its_part_finish(
    finished: Path, sign: signal.Signals
) -> None:
    with kept(str(finished), command=PART) as keeper:
        until(keeper, "up")
        keeper.send_signal(sign)

        assert keeper.wait() == 0
    assert finished.exists()


def test_a_part_ends_in_good_order_when_its_keeper_is_killed(finished: Path) -> None:
    with kept(str(finished), command=PART) as keeper:
        until(keeper, "up")
        keeper.kill()

        within(10, finished.exists, "the part has finished")


def test_a_keeper_ends_with_the_program_that_started_it(finished: Path) -> None:
    start = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    command = [
        sys.executable,
        "-c",
        start,
        sys.executable,
        "-c",
        KEEP,
        *PART,
        str(finished),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        until(parent, "up")
        parent.kill()

        within(10, finished.exists, "the part has finished")


def test_a_part_that_stops_outlives_the_pipe_that_its_words_went_to(
    finished: Path,
) -> None:
    # A shell, like daprd and unlike Python, dies of SIGPIPE unless its keeper lets it ignore that.
    last = f"kill $!; echo stopping; echo stopped; touch {finished}; exit"
    with kept(f"trap '{last}' TERM; echo up; sleep 600 & wait") as keeper:
        until(keeper, "up")
        assert keeper.stdout
        keeper.stdout.close()
        keeper.kill()

        within(10, finished.exists, "the part has finished")


def test_without_set_up_the_keeper_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "toolchain").mkdir()
    keep = shutil.copy(ROOT / "toolchain" / "keep", tmp_path / "toolchain")

    ended = subprocess.run(
        [keep, "uvicorn"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == EX_CONFIG
    assert "run 'make setup' first" in ended.stderr
