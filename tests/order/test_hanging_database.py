"""While its database does not answer, a service says so in a line for each loop, and not by tracebacks."""

import logging

import pytest

from chassis.database.transient import NoAnswer
from tests.support.eventually import eventually
from tests.support.services import Service


async def test_each_loop_that_waits_for_the_database_is_one_line(
    order: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object, **__: object) -> None:
        raise NoAnswer

    caplog.set_level(logging.WARNING, "chassis")
    for each in ("read", "write"):
        monkeypatch.setattr(order.database, each, hangs)

    async def said() -> bool:
        line = "waits for the database, and tries again (docs/runbooks.md#databasedown)"
        return any(line in each for each in caplog.messages)

    await eventually(said, "a loop says that it waits")
    assert [each.message for each in caplog.records if each.exc_info] == []
