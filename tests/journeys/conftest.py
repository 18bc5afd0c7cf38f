"""One running system for each broker, for all journeys of this folder: each leaves it as it was, running."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.collector import Collector, collecting
from tests.support.losses import open_shop
from tests.support.sharing import only_here
from tests.support.shop import Customer, Shop
from tests.support.system import RealSystem, build, running
from tests.support.variants import VARIANTS


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """Collect the traces of every system."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="package", params=VARIANTS, ids="-".join)
async def system(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    collector: Collector,
) -> AsyncIterator[RealSystem]:
    """Run the whole system on its real parts, with one broker and database and then with the next."""
    folder = tmp_path_factory.mktemp("system")
    broker, database = request.param
    if hasattr(request.config, "workerinput"):  # a process of several
        only_here(tmp_path_factory.getbasetemp().parent, f"{broker}-{database}")
    async with running(
        folder, broker=broker, database=database, environment=collector.environment
    ) as real:
        yield real


@pytest.fixture
def new(tmp_path: Path) -> Iterator[RealSystem]:
    """Make a system of which nothing runs yet; what a test starts is stopped."""
    made = build(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def shop(system: RealSystem) -> AsyncIterator[Shop]:
    """Open the shop."""
    async with open_shop(system) as opened:
        yield opened


@pytest.fixture
def customer(shop: Shop) -> Customer:
    """Return a customer."""
    return Customer(shop)
