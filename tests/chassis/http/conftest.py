"""The small API, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chassis.http.thing_api import Api, api_in


@pytest.fixture
async def api(each_database: None, tmp_path: Path) -> AsyncIterator[Api]:
    """Run the small API."""
    async with api_in(tmp_path) as made:
        yield made
