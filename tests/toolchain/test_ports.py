"""What is taken, and by whom, is one sentence before anything starts."""

import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.eventually import within
from tests.toolchain.small_broker import listening
from toolchain import demo, run, runfile
from toolchain.machine import this_machine
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import System
from toolchain.servers.broker import Broker
from toolchain.supervise import locks

ANSWER = b"HTTP/1.1 %d Something\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Return a system of our own that does not run."""
    return runfile.load(runfile.free_offset(), tmp_path)


@pytest.fixture
def taken(system: System) -> Iterator[int]:
    """Listen on a port of that system."""
    port = int(system.app("notification")["appPort"])
    with socket.create_server(("127.0.0.1", port)):
        yield port


def test_a_taken_port_names_its_holder_and_the_offset(
    system: System, taken: int
) -> None:
    with (
        pytest.raises(Failure, match=f"Port {taken} is taken") as failure,
        run.running(this_machine(), system),
    ):
        pass

    assert f"process {os.getpid()}" in failure.value.why
    assert f"OFFSET={system.offset + 1000}" in failure.value.remedy


@pytest.mark.parametrize("offset", ["abc", "-5", "1.5", "60000"])
def test_an_offset_that_is_none_is_refused(
    offset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFSET", offset)

    with pytest.raises(Failure, match=f"OFFSET={offset} cannot be used") as failure:
        run.chosen()

    assert failure.value.status == EX_CONFIG


@pytest.mark.parametrize("status", [404, 500, 503])
def test_the_demo_takes_what_does_not_serve_for_no_free_place(
    status: int, tmp_path: Path
) -> None:
    with listening(ANSWER % status) as port:
        system = System(
            {"apps": [{"appID": "order", "daprHTTPPort": port}]}, state=tmp_path
        )
        with pytest.raises(Failure, match=f"answers {status}.*{os.getpid()}"):
            demo.is_up(system, patience=0.3)


def test_the_demo_waits_for_a_run_that_starts_and_takes_one_that_ended_for_none(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    with locks.alone(system.lock, lambda: None):
        with pytest.raises(Failure, match="nothing answers") as failure:
            demo.is_up(system, patience=0.3)
        waits = Thread(target=lambda: found.append(demo.is_up(system)))
        found: list[bool] = []
        waits.start()
        within(60, lambda: "waiting for it" in capsys.readouterr().out, "it says so")
        assert not found
    waits.join(60)

    assert "A `make run` is at work" in failure.value.why
    assert found == [False]


def test_the_demo_orders_once_all_services_of_a_run_that_starts_are_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    works: set[str] = set()
    asked: list[str] = []
    found: list[bool] = []

    class Starting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.rpartition("/")[2]
            self.send_response(200 if path in works else 503)
            self.end_headers()
            asked.append(path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Starting) as server:
        Thread(target=server.serve_forever).start()
        order = {"appID": "order", "appPort": 1, "daprHTTPPort": server.server_port}
        system = System({"apps": [order]}, state=tmp_path)
        waits = Thread(target=lambda: found.append(demo.is_up(system)))
        waits.start()
        within(60, lambda: "waiting for it" in capsys.readouterr().out, "it says so")
        works.add("healthz")
        within(60, lambda: "readyz" in asked, "it asks whether all are ready")
        assert not found
        works.add("readyz")
        waits.join(60)
        server.shutdown()

    assert found == [True]


def test_a_run_waits_for_one_that_ends_and_names_the_ports_of_one_that_starts(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    app = int(system.app("order")["appPort"])
    with (
        locks.alone(system.lock, lambda: None),
        ThreadPoolExecutor(1) as pool,
    ):
        second = pool.submit(started, system)
        said = "another run of it starts or ends just now"
        within(60, lambda: said in capsys.readouterr().out, "it says so")
        with (
            socket.create_server(("127.0.0.1", app)),
            pytest.raises(Failure, match=f"Port {app} is taken"),
        ):
            second.result(60)


def started(system: System) -> None:
    """Start a system, as `make run` does."""
    with run.running(this_machine(), system):
        raise AssertionError("it runs")


def test_a_run_whose_dapr_ends_by_itself_does_not_say_that_everything_runs(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """As that of a second one, which sees the services of the first."""
    cli = subprocess.Popen(["false"])
    cli.wait()
    parts = run.Provided(Broker("none", "-"), [])

    with pytest.raises(Failure, match=r"(?s)has ended by itself.*exit status is 1"):
        run.keep(cli, system, parts, {})

    assert "Everything runs" not in capsys.readouterr().out
