"""A URL of several hosts leads to the one that is the primary now."""

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from chassis.database import Database
from tests.chassis.database.entries import insert_one, metadata, rows
from tests.support.postgresql import Databases
from toolchain.runfile import free_port


def _of(url: str, wanted: str) -> Database:
    """Open a database by a URL of two hosts, the first of which is away."""
    one = make_url(url)
    hosts = f"host=127.0.0.1:{free_port()}&host=127.0.0.1:{one.port}"
    who = f"postgresql://{one.username}@/{one.database}"
    return Database(f"{who}?{hosts}&target_session_attrs={wanted}", "test")


async def test_a_host_that_is_away_is_passed_over(databases: Databases) -> None:
    with databases.fresh() as url:
        database = _of(url, "read-write")
        try:
            await database.write(lambda s: metadata.create_all(s.connection()))
            await database.write(insert_one)
            assert await rows(database) == 1
        finally:
            await database.close()


async def test_a_host_that_is_not_what_was_asked_for_is_passed_over(
    databases: Databases,
) -> None:
    with databases.fresh() as url:
        # As at a standby, where a primary is asked for.
        database = _of(url, "standby")
        try:
            with pytest.raises(OperationalError, match="not in hot standby mode"):
                await rows(database)
        finally:
            await database.close()
