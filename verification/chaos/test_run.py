"""One short run on the real system: six faults, and nothing is lost, doubled or stuck."""

import pytest

from verification.chaos import plan, tables
from verification.chaos.plan import Setting
from verification.chaos.run import run

pytestmark = pytest.mark.system

SIX = (
    "kill order",
    "kill notification sidecar",
    "terminate notification",
    "stop order sidecar",
    "purge broker",
    "silent broker link",
)
"""The last is the one in which daprd answers 204 for an event that RabbitMQ never saw."""


async def test_six_faults_lose_and_double_nothing() -> None:
    setting = Setting(longest=2, still=2)

    # Without mails: one that nobody knows of is sent again two minutes later.
    report = await run(plan.make(1, 6, setting, SIX), 200, setting, mail_every=0)

    assert report.is_clean, tables.table([report])
    assert len(report.journal.entries) == 6
