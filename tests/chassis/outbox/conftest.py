"""An outbox on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chassis.outbox.outboxes import Box
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def box(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Box]:
    """Create an outbox, and close it."""
    made = Box(tmp_path, dapr)
    yield made
    await made.database.close()


@pytest.fixture
def always_looking(box: Box) -> None:
    """Make each step look into the table, as it does once a second whatever comes from memory."""
    box.relay.looks_every = 0.0
