"""The log: readable, on one line a record, bounded, without what customers sent, and in nobody's way."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from chassis.runtime import logs, telemetry
from chassis.runtime.lines import MOST, LineWriter
from chassis.runtime.logs import BURST, LONGEST, Json, Repetition, Text, about
from tests.support.eventually import within
from toolchain.runfile import ROOT

EVENT = '{"subject": "an-order", "id": "an-event"}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:  # noqa: ANN401 - any record
    """Return a record as a logger makes it."""
    error = extra.pop("error", None)
    info = (type(error), error, error.__traceback__) if error else None
    return logging.getLogger("chassis.inbox").makeRecord(
        "chassis.inbox", logging.WARNING, "inbox.py", 1, message, args, info, extra=extra
    )  # fmt: skip


def failed(act: Any) -> Exception:  # noqa: ANN401 - any callable
    """Return what an act raises."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raised nothing")


def test_a_line_for_a_terminal_has_the_orders_id() -> None:
    line = Text().format(record("%s failed", "it", **about(EVENT)))

    assert line == "WARNING chassis.inbox: it failed (subject an-order, event an-event)"


def test_a_line_for_a_program_is_one_object_with_trace_order_and_event() -> None:
    token = telemetry.current.set(TRACE)
    line = Json("order").format(record("it\nfailed", **about(EVENT)))
    telemetry.current.reset(token)

    shown = json.loads(line)
    assert "\n" not in line
    assert shown.pop("time").endswith("+00:00")
    assert shown == {
        "level": "WARNING",
        "service": "order",
        "logger": "chassis.inbox",
        "message": "it\\nfailed",
        "subject": "an-order",
        "event": "an-event",
        "trace": TRACE[3:35],
    }


@pytest.mark.parametrize("form", [Text(), Json("order")])
@pytest.mark.parametrize("hostile", ["\x1b[2J", "\rERROR", "\u202e", "\x00", "\x85"])
def test_no_character_of_a_message_moves_the_cursor(
    form: logging.Formatter, hostile: str
) -> None:
    assert form.format(record(f"a{hostile}b")).isprintable()


@pytest.mark.parametrize("form", [Text(), Json("order")])
def test_no_line_is_long(form: logging.Formatter) -> None:
    error = failed(lambda: int("李" * 100_000))
    longest = record("李" * 100_000, error=error)

    lines = form.format(longest).split("\n")

    assert max(len(each.encode()) for each in lines) < 60_000
    assert lines[0].count("李") >= LONGEST


def test_a_traceback_is_indented_below_its_line_and_names_the_cause() -> None:
    def act() -> None:
        try:
            int("x")
        except ValueError as error:
            raise RuntimeError("a\nb") from error

    first, *below = Text().format(record("it", error=failed(act))).split("\n")

    assert first == "WARNING chassis.inbox: it"
    assert all(each.startswith("  ") for each in below)
    assert any("ValueError: invalid literal" in each for each in below)
    assert below[-1] == "  RuntimeError: a\\nb"


def test_what_a_customer_sent_is_not_in_the_traceback_of_a_validation() -> None:
    class Named(BaseModel):
        number: int

    error = failed(lambda: Named.model_validate({"number": "Jane Doe"}))

    text = Text().format(record("it", error=error))

    assert "Jane" not in text.split("\n")[-1]
    assert text.endswith("ValidationError: Named: number")


def test_the_row_that_postgresql_refuses_is_not_in_the_traceback() -> None:
    error = RuntimeError("null value in a column\nDETAIL:  Failing row has (Jane Doe)")

    assert "Jane" not in Text().format(record("it", error=error))


def test_what_repeats_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    repetition = Repetition()
    flood = [record("socket.accept() failed") for _ in range(10 * BURST)]

    passed = [each.getMessage() for each in flood if repetition.filter(each)]

    assert len(passed) == BURST
    assert passed[-1] == "socket.accept() failed (more like this are left out for 10 s)"
    assert repetition.filter(record("another"))
    now = logs.WINDOW
    later = record("socket.accept() failed")
    assert repetition.filter(later)
    left = f"{9 * BURST} more like this were left out"
    assert later.getMessage() == f"socket.accept() failed ({left})"


@pytest.mark.parametrize("no_event", ["", "[]", "{}", "nothing", '{"subject": "x"}'])
def test_what_is_no_event_has_no_ids(no_event: str) -> None:
    assert about(no_event) == {}


@pytest.fixture
def pipe() -> Iterator[tuple[int, Any]]:
    """Open a pipe that nobody reads yet."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


def test_whoever_logs_does_not_wait_for_a_terminal_that_nobody_reads(
    pipe: tuple[int, Any],
) -> None:
    reader, stream = pipe
    writer = LineWriter(lambda: stream, lambda _: None)
    line = "x" * 999

    for _ in range(2 * MOST):
        writer.put(line)

    assert not writer.flush(0.05)
    content = bytearray()

    def read() -> None:
        while b"dropped" not in content:
            content.extend(os.read(reader, 1 << 20))

    reading = threading.Thread(target=read)
    reading.start()
    reading.join(30)
    lines = content.decode().splitlines()
    assert set(lines[:-1]) == {line}
    dropped = int(lines[-1].split()[0])
    assert len(lines) - 1 + dropped == 2 * MOST
    assert dropped > MOST / 2


def test_a_line_that_the_terminal_cannot_show_costs_no_other(tmp_path: Path) -> None:
    file = tmp_path / "terminal"
    with file.open("w", encoding="latin-1") as stream:
        writer = LineWriter(lambda: stream, lambda _: None)
        writer.put("Zoë 李", "Jane")
        assert writer.flush(5)

    assert file.read_bytes() == b"Zo\xeb \\u674e\nJane\n"


CONFIGURED = """
import logging, sys
from chassis.runtime import logs
logs.configure("order", "DEBUG", sys.argv[1])
logging.getLogger("chassis.x").debug("ours")
logging.getLogger("sqlalchemy.engine").debug("a batch with Jane Doe")
logging.getLogger("sqlalchemy.engine").warning("a warning")
{more}
"""


def _run(form: str, more: str = "") -> subprocess.CompletedProcess[str]:
    code = CONFIGURED.format(more=more)
    return subprocess.run(
        [sys.executable, "-c", code, form], check=False, cwd=ROOT, text=True, capture_output=True, timeout=30
    )  # fmt: skip


def test_at_debug_libraries_still_only_warn_and_each_line_is_there_once() -> None:
    assert _run("text").stderr.splitlines() == [
        "DEBUG chassis.x: ours",
        "WARNING sqlalchemy.engine: a warning",
    ]
    shown = [json.loads(line) for line in _run("json").stderr.splitlines()]
    assert [each["message"] for each in shown] == ["ours", "a warning"]


def test_a_flood_of_one_error_is_some_lines() -> None:
    more = (
        "[logging.getLogger('asyncio').error('accept() failed') for _ in range(5000)]"
    )

    lines = _run("text", more).stderr.splitlines()

    assert lines[-1].endswith("more like this are left out for 10 s)")
    assert len(lines) == BURST + 2


def test_what_was_logged_last_is_written_before_a_process_ends_at_once() -> None:
    more = "logging.getLogger('chassis').error('the end'); logs.flush(); import os; os._exit(78)"

    ended = _run("text", more)

    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (78, "ERROR chassis: the end")  # fmt: skip


def test_a_process_ends_although_nobody_reads_its_log() -> None:
    more = "[logging.getLogger(f'chassis.{n}').error('x' * 3000) for n in range(99)]"
    code = CONFIGURED.format(more=more)
    with subprocess.Popen(
        [sys.executable, "-c", code, "text"], cwd=ROOT, stderr=subprocess.PIPE
    ) as process:
        within(20, lambda: process.poll() is not None, "it has ended")
        assert process.returncode == 0
