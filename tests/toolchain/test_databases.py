"""The databases that tests get: each its own, made from a template in a moment, gone afterwards."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests.support.postgresql import Databases
from tests.toolchain.stand_ins import CLONE, until
from tests.toolchain.test_postgresql import asked, processes_in

MADE: list[str] = []
"""With which URLs the template was made."""


def make(address: str) -> None:
    """Make what stands for the tables of a service."""
    MADE.append(address)
    asked(address, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (1)")


async def number_of_rows(connection: AsyncConnection) -> object:
    """Count what is in the table."""
    return (await connection.execute(text("SELECT count(*) FROM kept"))).scalar()


def test_each_is_a_copy_of_the_template_and_nobody_elses(databases: Databases) -> None:
    template = databases.template("kept_template", make)
    with databases.fresh(template) as one, databases.fresh(template) as other:
        asked(one, "INSERT INTO kept VALUES (2)")

        assert asked(one, "SELECT count(*) FROM kept") == 2
        assert asked(other, "SELECT count(*) FROM kept") == 1
    assert databases.template("kept_template", make) == template
    assert len(MADE) == 1


async def test_a_coroutine_gets_one_too_and_it_goes_with_all_connections(
    databases: Databases,
) -> None:
    template = databases.template("kept_template", make)
    with databases.fresh(template) as address:
        engine = create_async_engine(address)
        async with engine.connect() as connection:
            assert await number_of_rows(connection) == 1
            await connection.invalidate()
    await engine.dispose()

    with pytest.raises(DBAPIError, match="does not exist"):
        await asyncio.to_thread(asked, address, "SELECT 1")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_session_that_is_cut_short_leaves_nothing(sign: signal.Signals) -> None:
    script = (
        "import signal; from tests.support import postgresql\n"
        "with postgresql.databases() as databases, databases.fresh():\n"
        "    print(databases.folder); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script],
        cwd=CLONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as session:
        assert session.stdout
        folder = Path(session.stdout.readline().strip())
        assert list(processes_in(folder))

        session.send_signal(sign)

    until(lambda: not folder.exists())
    assert list(processes_in(folder)) == []
