"""The small service with pages, on both databases: open to all, and closed to whoever has not signed in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.chassis.pages.things import small_service
from tests.support.services import Service
from tests.support.sign_in import Browser, browsing, issuing, settings
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.issuer.tokens import Issuer


@pytest.fixture
async def service(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the small service."""
    async with small_service(tmp_path, dapr, {}) as made:
        yield made


@pytest.fixture(scope="package")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """Run an issuer."""
    with issuing(tmp_path_factory.mktemp("issuer")) as made:
        yield made


@pytest.fixture
async def closed(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr, issuer: Issuer
) -> AsyncIterator[Service]:
    """Run the small service, on whose pages people sign in."""
    async with small_service(tmp_path, dapr, settings(issuer)) as made:
        yield made


@pytest.fixture
async def browser(closed: Service) -> AsyncIterator[Browser]:
    """Open a browser."""
    async with browsing(closed.app) as opened:
        yield opened


@pytest.fixture
async def other(closed: Service) -> AsyncIterator[Browser]:
    """Open the browser of somebody else."""
    async with browsing(closed.app) as opened:
        yield opened
