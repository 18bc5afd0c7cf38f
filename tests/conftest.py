"""Fixtures that every kind of test may use."""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support import postgresql
from tests.support.database import on_postgresql
from tests.support.postgresql import Databases
from tests.support.services import Service, notification_service, order_service
from tests.support.sharing import shared_by
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.summary import summary
from toolchain import runfile


def pytest_configure() -> None:
    """Assign each process that runs tests ports of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for name, ports in (
        ("OFFSETS", apart(runfile.OFFSETS)),
        ("SINGLE", runfile.SINGLE),
    ):
        setattr(runfile, name, ports[worker::workers])


def apart(offsets: Sequence[int]) -> Sequence[int]:
    """Return those offsets of which no two systems share a port: one's broker is another's page, 10000 higher."""
    ports = runfile.every_port()
    differences = {one - other for one in ports for other in ports}
    chosen: list[int] = []
    for each in offsets:
        if differences.isdisjoint(each - other for other in chosen):
            chosen.append(each)
    return chosen


class InOneProcess(LoadScopeScheduling):  # type: ignore[misc]
    """Runs tests that share a running system in one process, one after the other.

    What xdist has for that, `--dist loadgroup`, silently does nothing with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return shared_by(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> LoadScopeScheduling:
    """Distribute tests by the systems that they share."""
    return InOneProcess(config, log)


@pytest.fixture
def dapr() -> SimulatedDapr:
    """Return a simulated Dapr that works."""
    return SimulatedDapr()


@pytest.fixture(params=["sqlite", "postgresql"])
def each_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test twice: with its databases on SQLite, and on PostgreSQL."""
    if request.param == "sqlite":
        yield
        return
    with on_postgresql(request.getfixturevalue("databases")):
        yield


@pytest.fixture
async def order(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the order service in this process."""
    async with order_service(tmp_path, dapr) as service:
        yield service


@pytest.fixture
async def notification(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the notification service in this process."""
    async with notification_service(tmp_path, dapr) as service:
        yield service


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Run a PostgreSQL for this session, from the first test that needs it to the last."""
    with postgresql.databases() as found:
        yield found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print at the end which databases and brokers the tests were run on."""
    passed = [each.nodeid for each in terminalreporter.getreports("passed")]
    if lines := summary(passed):
        terminalreporter.section("run on")
        for line in lines:
            terminalreporter.write_line(line)
