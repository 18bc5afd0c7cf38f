"""One system in containers for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.containers import System, system_in_containers


@pytest.fixture(scope="package")
def system() -> Iterator[System]:
    """Start the system, and remove it with all that it kept."""
    with system_in_containers() as system:
        yield system
