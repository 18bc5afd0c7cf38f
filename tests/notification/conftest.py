"""Fixtures of the notification service's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.notification.mail_room import MailRoom, mail_room
from tests.support.database import on_postgresql
from tests.support.postgresql import Databases
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def room(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[MailRoom]:
    """Open a mail room."""
    async with mail_room(tmp_path, dapr) as opened:
        yield opened


@pytest.fixture
async def shared(
    databases: Databases, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[MailRoom]:
    """Open a mail room that several replicas share."""
    with on_postgresql(databases):
        async with mail_room(tmp_path, dapr) as opened:
            yield opened
