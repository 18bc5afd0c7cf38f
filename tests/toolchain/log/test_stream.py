"""The log of a system: real supervisors write, and one terminal shows it in the order of time."""

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.eventually import within
from toolchain.log import stream
from toolchain.log.line import Look
from toolchain.log.stream import Stream
from toolchain.runfile import ROOT
from toolchain.supervise.outlet import Outlet
from toolchain.supervise.record import PIPE, Records, pieces

KEEP = "import sys; from toolchain.supervise.supervisor import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def part(pipe: Path, name: str, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a part running that is a Python script; what it would show elsewhere is nothing."""
    environment = {**os.environ, PIPE: str(pipe), "APP_ID": name}
    command = [sys.executable, "-c", KEEP, sys.executable, "-u", "-c", script]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as supervisor:
        yield supervisor
        supervisor.terminate()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Name the file that shows the log."""
    return tmp_path / "shown"


@pytest.fixture
def pipe(tmp_path: Path, log: Path) -> Iterator[Path]:
    """Show the log of two parts in a file."""
    with stream.shown(tmp_path / "pipe", ("one", "two"), log, info=False):
        yield tmp_path / "pipe"
    assert not (tmp_path / "pipe").exists()


def shows(log: Path, pattern: str) -> Callable[[], bool]:
    """Return a question whether the log shows this."""
    return lambda: bool(re.search(pattern, log.read_text()))


def test_the_lines_of_all_parts_are_shown_whole_whatever_they_are(
    pipe: Path, log: Path
) -> None:
    many = "for i in range(100): print(f'{i} ' + 'x' * 6000)\nimport os; os.write(1, b'no end')"
    with part(pipe, "one", many) as first, part(pipe, "two", many):
        within(60, shows(log, "(?s)no end.*no end"), "both have come to their end")
        first.terminate()
        assert first.communicate()[0] == b""  # it would be shown twice

    for name in ("one", "two"):
        found = re.findall(rf"  {name} +(\d+) x+ … and 2,00\d ch", log.read_text())
        assert found == [str(number) for number in range(100)]


def test_a_part_that_dies_is_one_line_with_its_last_words(
    pipe: Path, log: Path
) -> None:
    with part(pipe, "one", "raise SystemExit('the disk is full')"):
        within(60, shows(log, "died"), "its end is shown")

    died = r"^[\d:.]+  one +ERROR  died \(exit status 1; its last words: the disk is full\); it is started again"
    assert re.search(died, log.read_text(), re.MULTILINE)


def test_without_make_run_a_part_writes_where_it_is_started(tmp_path: Path) -> None:
    nobody = tmp_path / "pipe"
    os.mkfifo(nobody)

    with part(nobody, "one", "print('here'); input()") as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == b"here\n"


def test_lines_are_in_the_order_of_their_time(tmp_path: Path, log: Path) -> None:
    with (
        stream.shown(tmp_path / "pipe", ("one",), log, info=False),
        (tmp_path / "pipe").open("wb") as pipe,
    ):
        now = time.time()
        for text, ago in {b"second": 0.01, b"first": 0.02, b"third": 0.0}.items():
            pipe.write(b"%f\t\t\tone\t%s\n" % (now - ago, text))

    assert re.findall("first|second|third", log.read_text()) == [
        "first",
        "second",
        "third",
    ]


def test_what_is_no_record_is_passed_over() -> None:
    data = b"\xff\n\t\t\t\t\nx\ty\n1.0\t\t\tone\tgood\n"

    assert [each.text for each in Records().feed(data)] == [b"good"]


def test_a_line_in_pieces_is_put_together_beside_those_of_others() -> None:
    long, short = [*pieces("one", b"y" * 9000)], [*pieces("two", b"z")]
    assert all(len(each) <= 4096 for each in long)

    records = [*Records().feed(b"".join([long[0], *short, *long[1:]]))]

    assert [(each.part, len(each.text)) for each in records] == [
        ("two", 1),
        ("one", 9000),
    ]


def test_a_terminal_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    """As Ctrl-S does: the parts go on, what is not shown is counted, and the end does not wait."""
    terminal, shown = pty.openpty()
    lines = Stream(tmp_path / "pipe", shown, Look(("one",)), info=False)
    done = tmp_path / "done"
    script = f"print(('x' * 499 + chr(10)) * 10_000); open('{done}', 'w'); input()"
    with part(tmp_path / "pipe", "one", script):
        within(60, done.exists, "the part has written five megabytes")
        read = threading.Event()

        def goes_on() -> Iterator[str]:
            while not read.is_set():
                yield os.read(terminal, 65536).decode()

        text = ""
        for each in goes_on():
            text += each
            if re.search(r"… [\d,]+ lines are not shown: nobody read them here", text):
                read.set()
    started = time.monotonic()
    for _ in range(30_000):
        lines.say("nobody reads this either, and the end does not wait for it")
    lines.close()
    assert time.monotonic() - started < 20
    os.close(terminal)
    os.close(shown)


def test_whoever_writes_does_not_wait_for_whoever_reads() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, lambda number: b"%d lost\n" % number)

    def write() -> None:
        for _ in range(5000):
            outlet.write(b"x" * 999 + b"\n")

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(60)

    assert not writing.is_alive()
    outlet.close()
    os.close(reader)
    os.close(writer)


def test_an_outlet_counts_what_it_drops_and_says_it_in_its_place() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, lambda number: b"%d lost\n" % number, room=200_000)
    for number in range(100_000):
        outlet.write(b"%d\n" % number)

    data = b""
    while b"lost" not in data:
        data += os.read(reader, 65536)

    *kept, note = data.split(b"\n")[:-1]
    assert kept == [b"%d" % number for number in range(len(kept))]
    assert note == b"%d lost" % (100_000 - len(kept))
    outlet.write(b"on\n")
    assert os.read(reader, 10) == b"on\n"
    outlet.close()
    os.close(reader)
    os.close(writer)
