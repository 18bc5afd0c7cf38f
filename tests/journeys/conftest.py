"""One running system for each broker, for all journeys of this folder: each leaves it as it was, running."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.shop import Customer, Shop
from tests.support.system import RealSystem, running
from toolchain.run import BROKERS


@pytest.fixture(scope="package", params=BROKERS)
async def system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RealSystem]:
    """Run the whole system on its real parts, with the one broker and then with the next."""
    folder = tmp_path_factory.mktemp("system")
    async with running(folder, broker=request.param) as real:
        yield real


@pytest.fixture
async def shop(system: RealSystem) -> AsyncIterator[Shop]:
    """Open the shop."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield Shop(system, client)


@pytest.fixture
def customer(shop: Shop) -> Customer:
    """Make a customer."""
    return Customer(shop)
