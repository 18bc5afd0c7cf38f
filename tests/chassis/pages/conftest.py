"""The small service with pages, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.order.app import Settings
from tests.chassis.pages import things
from tests.support.database import execute, secrets_in, url_in
from tests.support.services import Service, running
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def service(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the small service."""
    url, secrets = url_in(tmp_path, "order"), secrets_in(tmp_path)
    app = things.create_app(
        Settings(database_url=url, secrets_folder=secrets), dapr.sidecar()
    )
    async with running(app) as made:
        await execute(made.database, "CREATE TABLE thing (name text)")
        yield made
