"""The small service with dead letters, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chassis.dead_letters.letters import Letters, letters_in


@pytest.fixture
async def letters(each_database: None, tmp_path: Path) -> AsyncIterator[Letters]:
    """Run the service."""
    async with letters_in(tmp_path) as made:
        yield made
