"""One running door for all tests of this folder: each leaves it as it was."""

from collections.abc import AsyncIterator

import pytest

from tests.support.door import Door, opened


@pytest.fixture(scope="package")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """Open the door."""
    async with opened(tmp_path_factory.mktemp("door")) as door:
        yield door
