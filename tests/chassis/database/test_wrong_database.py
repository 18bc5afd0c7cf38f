"""A database that a service can never work on: the service ends with one sentence and exit status 78."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest

from chassis.database.engine import sqlite_file
from chassis.runtime.settings import EX_CONFIG
from tests.support.database import ROOT, secrets_in, upgrade


async def start(service: str, url: str, folder: Path) -> tuple[int | None, list[str]]:
    """Start a service, which ends by itself; return its exit status and what it logged."""
    process = await asyncio.create_subprocess_exec(
        *("env", f"DATABASE_URL={url}", f"SECRETS_FOLDER={secrets_in(folder)}"),
        *(sys.executable, "-m", "uvicorn", "--factory", "--port=0"),
        *("--log-level=warning", f"services.{service}.app:create_app"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode().splitlines()


async def test_one_database_for_both_services_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    upgrade("order", url)

    status, (line,) = await start("notification", url, tmp_path)

    assert status == EX_CONFIG
    assert "belongs to the service order" in line
    assert "set another DATABASE_URL for notification" in line


async def test_an_older_release_on_newer_tables_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/order.db"
    upgrade("order", url)
    with sqlite3.connect(sqlite_file(url)) as connection:
        connection.execute(
            "UPDATE alembic_version SET version_num = '0009_later' "
            "WHERE version_num = '0001.2_order'"
        )

    status, (line,) = await start("order", url, tmp_path)

    assert status == EX_CONFIG
    assert "at version 0009_later, which this release does not know" in line


@pytest.mark.parametrize(
    "url",
    ["sqlite:///{folder}/o.db?mode=ro", "postgresql://x@127.0.0.1:1/x?colour=red"],
)
async def test_an_option_that_nobody_knows_is_refused(url: str, tmp_path: Path) -> None:
    status, lines = await start("order", url.format(folder=tmp_path), tmp_path)

    assert status == EX_CONFIG
    assert "option" in lines[-1]
    assert "Traceback" not in "".join(lines)


async def test_a_database_that_is_away_is_worth_another_start(tmp_path: Path) -> None:
    status, lines = await start("order", "postgresql://x@127.0.0.1:1/x", tmp_path)

    assert status == 75
    assert "unavailable" in lines[-1]
