"""The benchmark's own reckoning: what it reads, and what it makes of it."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4
from xml.etree import ElementTree as ET

import pytest

from chassis.runtime.ids import uuid7
from verification.benchmark import finish, machine, report
from verification.benchmark.contestants import entered
from verification.benchmark.load import Load
from verification.benchmark.measuring import Measured, percentiles

MOMENT = datetime(2026, 11, 28, 12, 0, 0, 250_000, tzinfo=UTC)


def _measured(contestant: str, speed: float, load: str = "8 clients") -> Measured:
    waits = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    return Measured(
        contestant=contestant,
        load=load,
        accepted=10,
        refused=0,
        said_when=0,
        failed=0,
        missing=0,
        orders_per_second=speed,
        cpu_ms={"order app": 1.0, "broker": 0.5},
        memory_mb={},
        post_ms=waits,
        refusal_ms={},
        notified_ms=waits,
        whole_after=0.0,
        busy_elsewhere=0.0,
    )


def test_percentiles_are_values_that_were_seen() -> None:
    waits = [number / 1000 for number in range(1, 201)]

    assert percentiles(waits) == {"p50": 100.0, "p95": 190.0, "p99": 198.0}


def test_only_orders_of_this_run_that_were_notified_have_come_to_their_end(
    tmp_path: Path,
) -> None:
    sent, waiting, stored = uuid7(), uuid7(), UUID(int=1)
    file = tmp_path / "notification.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE notification (order_id, sent_at, state)")
        rows = [
            (sent.hex, "2026-11-28 12:00:00.250000", "SENT"),
            (waiting.hex, None, "READY"),
            (stored.hex, "2026-11-28 12:00:00.250000", "SENT"),
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

    assert finish.read_lines([log]) == {str(order): 12.5}


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


def test_a_contestant_may_begin_with_orders_and_have_replicas() -> None:
    chosen = entered("ours-postgresql+1000:2")

    assert (chosen.database, chosen.stored, chosen.replicas) == ("postgresql", 1000, 2)
    for name in ("mine", "ours:2", "ordinary+1000"):
        with pytest.raises(ValueError, match=re.escape(name)):
            entered(name)


def test_a_run_is_compared_with_an_earlier_one_in_what_both_have_measured(
    tmp_path: Path,
) -> None:
    file = tmp_path / "figures.json"
    report.write(file, {}, [_measured("ours", 100), _measured("faststream", 1)])

    now = [_measured("ours", 150), _measured("ours", 50, "50 orders/s")]

    said = [*report.comparison(report.read(file), now)]
    assert said[-1] == "| ours | 8 clients | 1.50 | 1.00 | 1.00 | 1.00 |"
    assert len(said) == 4
    assert report.read(tmp_path / "none") == []


def test_plots_are_svg_and_show_every_contestant() -> None:
    loads = ("8 clients", "50 orders/s", "100 orders/s")
    measured = [_measured(n, 9, each) for n in ("ours", "ordinary") for each in loads]

    plots = dict(report.plotted(measured))

    assert [*plots] == ["orders.svg", "cpu.svg", "post-p99.svg", "notified-p99.svg"]
    for plot in plots.values():
        shown = [each.text for each in ET.fromstring(plot)]  # noqa: S314 - ours
        assert {"ours", "ordinary"} <= set(shown)
