"""On which brokers and databases the journeys are made."""

import pytest

from toolchain.run import BROKERS

VARIANTS = [(broker, "sqlite") for broker in BROKERS] + [("rabbitmq", "postgresql")]

ONE = pytest.mark.parametrize("system", VARIANTS[:1], ids="-".join, indirect=True)
"""For what the broker and the database have no part in."""
