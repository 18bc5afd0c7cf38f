"""A time that is stored comes back as the same moment, whatever its zone and whatever the database keeps."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from chassis.database import Database
from tests.chassis.database.entries import entry, insert_one, rows


@pytest.mark.parametrize(
    "zone",
    [UTC, timezone(timedelta(hours=5.5)), timezone(timedelta(hours=-8))],
    ids=str,
)
async def test_a_time_comes_back_as_the_same_moment_in_utc(
    database: Database, zone: timezone
) -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, 123_456, zone)
    later = moment + timedelta(microseconds=1)

    await database.write(lambda session: insert_one(session, moment))

    stored = await database.read(lambda session: session.scalar(select(entry.c.at)))
    assert stored == moment
    assert stored.tzinfo is UTC
    assert await database.read(
        lambda session: session.scalar(select(entry.c.at < later))
    )


async def test_no_time_is_no_time(database: Database) -> None:
    await database.write(insert_one)

    stored = await database.read(
        lambda session: session.scalars(select(entry.c.at)).all()
    )
    assert stored == [None]


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    naive = datetime(2026, 1, 31)  # noqa: DTZ001 - that is the point

    with pytest.raises(StatementError, match="has no time zone"):
        await database.write(lambda session: insert_one(session, naive))

    assert await rows(database) == 0
