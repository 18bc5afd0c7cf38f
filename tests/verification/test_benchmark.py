"""The benchmark's own reckoning: what it reads, and what it makes of it."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from verification.benchmark import finish, machine, report
from verification.benchmark.load import Load
from verification.benchmark.measuring import Measured, percentiles

MOMENT = datetime(2026, 11, 28, 12, 0, 0, 250_000, tzinfo=UTC)


def _measured(contestant: str, speed: float) -> Measured:
    waits = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    cpu = {"order app": 1.0, "broker": 0.5}
    return Measured(
        contestant, "8 clients", 10, 0, 0, speed, cpu, {}, waits, waits, 0.0
    )


def test_percentiles_are_values_that_were_seen() -> None:
    waits = [number / 1000 for number in range(1, 201)]

    assert percentiles(waits) == {"p50": 100.0, "p95": 190.0, "p99": 198.0}


def test_only_sent_notifications_have_come_to_their_end(tmp_path: Path) -> None:
    sent, waiting = uuid4(), uuid4()
    file = tmp_path / "notification.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE notification (order_id, sent_at, state)")
        rows = [
            (sent.hex, "2026-11-28 12:00:00.250000", "SENT"),
            (waiting.hex, None, "READY"),
        ]
        connection.executemany("INSERT INTO notification VALUES (?, ?, ?)", rows)
    url = f"sqlite+aiosqlite:///{file}"

    assert finish.count_rows(url) == 1
    assert finish.read_rows(url) == {str(sent): MOMENT.timestamp()}


def test_a_peer_is_timed_by_the_first_line_that_it_prints_for_an_order(
    tmp_path: Path,
) -> None:
    order, log = uuid4(), tmp_path / "log"
    said = (
        f"Notification for Order {order}: Dear Jane Doe, your order was created at x.\t"
    )
    log.write_text(f"INFO: started\n{said}12.5\n{said}13.5\n{said}14")

    assert finish.read_lines(log) == {str(order): 12.5}


def test_the_cpu_time_of_a_process_is_counted_with_that_of_its_descendants() -> None:
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}]); input()"
    command = [sys.executable, "-c", f"{program}"]
    before = machine.cpu_ms([os.getpid()])
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        child.communicate(b"\n")

    assert machine.cpu_ms([os.getpid()]) - before >= 200


def test_an_open_loop_has_a_rate_and_a_closed_one_a_number_of_customers() -> None:
    assert Load(2, rate=50).options() == ["-duration=2s", "-rate=50"]
    assert Load(2, clients=4).options() == [
        "-duration=2s",
        "-rate=0",
        "-workers=4",
        "-max-workers=4",
    ]


def test_a_report_compares_each_round_with_the_ordinary_program_of_that_round() -> None:
    speeds = {"ours": (50, 300), "ordinary": (100, 200)}
    measured = [
        _measured(name, speeds[name][number]) for number in range(2) for name in speeds
    ]

    said = "\n".join(report.tables(measured))

    assert "| ours | 175 (50 to 300) | 1.5 |" in said
    assert "| ours | 1 (0.5 to 1.5) | 1 | 1 | 1 |" in said
