"""The supervisor: a part that dies is started again, one that cannot run is not, and all end together."""

import os
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
from toolchain.machine.failure import EX_CONFIG
from toolchain.runfile import ROOT
from toolchain.supervise import server
from toolchain.supervise.output import Throttle
from toolchain.supervise.server import Server

SUPERVISE = """
import sys
from toolchain.supervise.output import Output
from toolchain.supervise.supervisor import Supervisor
sys.exit(Supervisor(Output(sys.argv[1]), sys.argv[2:], first_pause=0.01).run())
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
    argument: str, command: Sequence[str] = SHELL, name: str = "part"
) -> Iterator[subprocess.Popen[str]]:
    """Keep a part running, a shell script or another; its output and the supervisor's can be read."""
    keep = [sys.executable, "-c", SUPERVISE, name, *command, argument]
    with subprocess.Popen(
        keep, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.kill()


def until(supervisor: subprocess.Popen[str], pattern: str) -> list[str]:
    """Read lines until one matches; pytest's time-out is the deadline."""
    assert supervisor.stdout
    lines = []
    for line in supervisor.stdout:
        lines.append(line.rstrip("\n"))
        if re.search(pattern, line):
            return lines
    raise AssertionError(f"it ended without saying {pattern}; it said {lines}")


def test_a_part_that_dies_is_started_again_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    script = f"echo life >>{tmp_path}/lives; [ $(wc -l <{tmp_path}/lives) -gt 3 ] || exit 7; echo up; cat"
    with kept(script) as supervisor:
        lines = until(supervisor, "^up")

    assert lines == [
        "supervisor: part died (exit status 7); it is started again until it runs",
        "up",
    ]


def test_how_a_part_was_killed_is_named(tmp_path: Path) -> None:
    script = (
        f"[ -e {tmp_path}/once ] && echo up && cat; touch {tmp_path}/once; kill -9 $$"
    )
    with kept(script) as supervisor:
        assert "killed by SIGKILL" in until(supervisor, "^up")[0]


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
    with kept(f"echo '{says}'; exit {status}") as supervisor:
        lines = until(supervisor, "run it again|it is started again")

        assert any(
            "supervisor: part is not started again, as its configuration is wrong"
            in line
            for line in lines
        )
        assert supervisor.wait() == EX_CONFIG
    if "bad" in says:
        assert "wrong: error loading configuration: bad; correct that" in lines[-1]


def test_a_broker_that_is_away_is_no_wrong_configuration(tmp_path: Path) -> None:
    fatal = 'level=fatal msg="[INIT_COMPONENT_FAILURE]: dial tcp: connection refused"'
    script = f"[ -e {tmp_path}/broker ] && echo up && cat; touch {tmp_path}/broker; echo '{fatal}'; exit 1"
    with kept(script) as supervisor:
        assert "connection refused); it is started again" in until(supervisor, "^up")[1]


def test_an_address_that_stays_in_use_is_given_up_after_some_attempts() -> None:
    with kept("echo 'bind: address already in use'; exit 1") as supervisor:
        lines = until(supervisor, "correct that, and run it again")

        assert supervisor.wait() == EX_CONFIG
    assert (
        sum(
            "address already in use" in line and "supervisor" not in line
            for line in lines
        )
        == 5
    )


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_supervisor_that_is_asked_to_stop_lets_its_part_finish(
    finished: Path, sign: signal.Signals
) -> None:
    with kept(str(finished), command=PART) as supervisor:
        until(supervisor, "^up")
        supervisor.send_signal(sign)

        assert supervisor.wait() == 0
    assert finished.exists()


def test_a_part_ends_in_good_order_when_its_supervisor_is_killed(
    finished: Path,
) -> None:
    with kept(str(finished), command=PART) as supervisor:
        until(supervisor, "^up")
        supervisor.kill()

        within(60, finished.exists, "the part has finished")


def test_a_supervisor_ends_with_the_program_that_started_it(finished: Path) -> None:
    start = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    command = [
        sys.executable,
        "-c",
        start,
        sys.executable,
        "-c",
        SUPERVISE,
        "part",
        *PART,
        str(finished),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        until(parent, "^up")
        parent.kill()

        within(60, finished.exists, "the part has finished")


def test_a_part_that_stops_outlives_the_pipe_that_its_words_went_to(
    finished: Path,
) -> None:
    # A shell, like daprd and unlike Python, dies of SIGPIPE unless its supervisor lets it ignore that.
    last = f"kill $!; echo stopping; echo stopped; touch {finished}; exit"
    with kept(f"trap '{last}' TERM; echo up; sleep 600 & wait") as supervisor:
        until(supervisor, "^up")
        assert supervisor.stdout
        supervisor.stdout.close()
        supervisor.kill()

        within(60, finished.exists, "the part has finished")


def test_without_set_up_the_supervisor_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "toolchain").mkdir()
    keep = shutil.copy(ROOT / "toolchain" / "keep", tmp_path / "toolchain")

    ended = subprocess.run(
        [keep, "uvicorn"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == EX_CONFIG
    assert "run 'make setup' first" in ended.stderr


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        pytest.param(
            "panic: interface conversion: interface {} is float64, not string\\n\\ngoroutine 1 [running]:",
            "panic: interface conversion: interface {} is float64, not string",
            id="a panic of Go",
        ),
        pytest.param(
            'time=\\"now\\" level=error msg=\\"no such topic\\" scope=dapr',
            "no such topic",
            id="an error of daprd",
        ),
        pytest.param(
            "Traceback (most recent call last):\\nValueError: not so",
            "ValueError: not so",
            id="an exception of Python",
        ),
    ],
)
def test_why_a_part_died_is_reported(output: str, reason: str) -> None:
    with kept(f'printf "{output}\\n"; exit 2') as supervisor:
        line = until(supervisor, "supervisor: ")[-1]

    died = f"supervisor: part died (exit status 2: {reason}); it is started again"
    assert line.startswith(died)


def test_last_words_are_repeated_where_no_line_is_a_reason() -> None:
    with kept("echo it is over; echo; exit 2") as supervisor:
        line = until(supervisor, "supervisor: ")[-1]

    assert "died (exit status 2; its last words: it is over); it is" in line


def test_a_line_that_dapr_run_could_not_read_is_cut() -> None:
    """At 64 KiB the CLI stops reading, and its app would stand still."""
    long = [sys.executable, "-c"]
    script = "print('x' * 1_000_000); print('and on'); input()"
    with kept(script, command=long) as supervisor:
        first, second = until(supervisor, "^and on")

    assert second == "and on"
    assert re.fullmatch(r"x{60000} … and 940,001 bytes more", first)


def test_a_part_goes_on_where_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """As in a terminal that Ctrl-S holds: what was not read is counted."""
    done = tmp_path / "done"
    script = f"print(('x' * 499 + chr(10)) * 10_000); open('{done}', 'w'); input()"
    with kept(script, command=[sys.executable, "-c"]) as supervisor:
        within(60, done.exists, "the part has written five megabytes")

        note = until(supervisor, "supervisor: ")[-1]

    assert re.fullmatch(
        r"supervisor: [\d,]+ lines were dropped: nobody read them here", note
    )


def test_an_error_without_a_pause_fills_no_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A setting that a component cannot use made a sidecar write 13 MB a second."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    throttle = Throttle(200)

    assert sum(throttle.admits() for _ in range(10_000)) == 2_000
    now[0] = 5.0
    assert sum(throttle.admits() for _ in range(10_000)) == 1_000
    assert throttle.dropped() == 0

    now[0] = 10.0
    assert throttle.admits()
    assert throttle.dropped() == 17_000
    assert throttle.dropped() == 0


def test_a_sidecar_that_says_too_much_is_named(tmp_path: Path) -> None:
    script = "while True: print('refused', flush=True)"
    with kept(
        script, command=[sys.executable, "-c"], name="the sidecar of order"
    ) as it:
        said = until(it, "says too much")

    assert re.match(
        r"supervisor: the sidecar of order says too much: [\d,]+ lines", said[-1]
    )
    assert len(said) < 10_000


INTERRUPTED = """
import os, signal, subprocess, sys
from toolchain import run
def work():
    print(subprocess.Popen(["sleep", "600"]).pid)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print("in good order")
sys.exit(run.alone(work))
"""


def test_what_is_asked_to_end_twice_ends_in_good_order_and_leaves_nothing() -> None:
    """`timeout` asks the group of `make`, and `make` asks its child again."""
    command = [sys.executable, "-c", INTERRUPTED]
    ended = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )

    pid, *words = ended.stdout.splitlines()
    assert words == ["in good order"]
    assert not Path(f"/proc/{pid}").exists()
    assert ended.returncode == 130


def test_a_server_that_hangs_is_named_once_and_that_it_serves_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ASKS_EVERY", 0.0)
    serves = [True, False, False, True]
    small = Server(
        "small", tmp_path, (("sleep", "600"),), {}, lambda: serves.pop(0), lambda: None
    )
    with server.running(small) as started:
        os.kill(started.itself.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{started.itself.pid}/stat")
        within(60, lambda: ") T " in stat.read_text(), "it is held still")
        for _ in range(3):
            server.keep(started)
        os.kill(started.itself.pid, signal.SIGCONT)

    held = f"it is held still (SIGSTOP), and goes on after: kill -CONT {started.itself.pid}"
    said = capsys.readouterr().out
    assert said.count(held) == 1
    assert said.endswith("it serves again\n")
