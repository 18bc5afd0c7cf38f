"""The databases that tests get: each its own, made from a template in a moment, gone afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support.postgresql import Databases
from tests.toolchain.stand_ins import CLONE, until
from tests.toolchain.test_postgresql import asked, processes_in

MADE: list[str] = []
"""With which URLs the template was made."""


def make(address: str) -> None:
    """Make what stands for the tables of a service."""
    MADE.append(address)
    asked(address, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (1)")


def test_each_is_a_copy_of_the_template_and_nobody_elses(databases: Databases) -> None:
    template = databases.template("kept_template", make)
    with databases.fresh(template) as one, databases.fresh(template) as other:
        asked(one, "INSERT INTO kept VALUES (2)")

        assert asked(one, "SELECT count(*) FROM kept") == 2
        assert asked(other, "SELECT count(*) FROM kept") == 1
    assert databases.template("kept_template", make) == template
    assert len(MADE) == 1


def test_it_is_dropped_with_all_connections(databases: Databases) -> None:
    template = databases.template("kept_template", make)
    with databases.fresh(template) as address:
        staying = psycopg.connect(address)
        staying.execute("SELECT 1")
    staying.close()

    with pytest.raises(psycopg.Error, match="does not exist"):
        asked(address, "SELECT 1")


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
