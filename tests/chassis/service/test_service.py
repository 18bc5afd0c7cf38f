"""A service whose database cannot be used when it starts says so in one line, and is started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import within
from tests.support.services import Service
from tests.support.sockets import closed_port

ROOT = Path(__file__).parents[2]
PASSWORD = "not-to-be-told"
SERVER = [
    *(sys.executable, "-m", "uvicorn", "--factory", "services.order.app:create_app"),
    *("--port=0", "--no-access-log", "--log-level=warning"),
]


def settings(folder: Path, kind: str) -> dict[str, str]:
    """Make the environment of a service whose database is one of those that cannot be used."""
    (folder / "no.db").mkdir()
    (folder / "text.db").write_text(
        "this is no database, and long enough to see that\n" * 99
    )
    server = f"postgresql+asyncpg://order:{PASSWORD}"
    url = {
        "a folder": f"sqlite+aiosqlite:///{folder}/no.db",
        "a folder in a file": f"sqlite+aiosqlite:///{folder}/text.db/order.db",
        "a text": f"sqlite+aiosqlite:///{folder}/text.db",
        "a server that is away": f"{server}@127.0.0.1:{closed_port()}/order",
        "a server that has no address": f"{server}@nowhere.invalid/order",
    }[kind]
    return {"DATABASE_URL": url, "FEED_SECRET_FILE": str(folder / "feed.secret")}


AWAY = {
    "a folder": "unable to open database file",
    "a folder in a file": "File exists",
    "a text": "file is not a database",
    "a server that is away": "Connect call failed",
    "a server that has no address": "[Errno ",
}


@pytest.mark.parametrize("kind", AWAY)
def test_a_database_that_cannot_be_used_is_one_line_and_a_status_of_its_own(
    tmp_path: Path, kind: str
) -> None:
    ended = subprocess.run(
        SERVER,
        cwd=ROOT,
        env=settings(tmp_path, kind),
        capture_output=True,
        timeout=60,
        check=False,
    )

    (said,) = (ended.stdout + ended.stderr).decode().splitlines()
    assert said.startswith("ERROR chassis.start: the database cannot be used: ")
    assert AWAY[kind] in said
    assert PASSWORD not in said
    assert ended.returncode == os.EX_TEMPFAIL == 75


def test_the_log_can_tell_all_of_it(tmp_path: Path) -> None:
    environment = settings(tmp_path, "a folder") | {"LOG_LEVEL": "DEBUG"}

    ended = subprocess.run(
        SERVER, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
    )

    assert ended.returncode == os.EX_TEMPFAIL
    assert b"Traceback" in ended.stderr


def test_the_keeper_starts_it_again_and_says_so_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {**settings(tmp_path, "a folder"), "APP_ID": "order"}
    with log.open("wb") as written:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "toolchain.supervise.supervisor", *SERVER],
            cwd=ROOT,
            env={"PATH": os.defpath, **environment},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        within(
            30,
            lambda: log.read_text().count("cannot be used") > 1,
            "it is started again",
        )
    finally:
        keeper.send_signal(signal.SIGTERM)
        assert keeper.wait(30) == 0

    said = log.read_text().splitlines()
    assert set(said) == {
        "ERROR chassis.start: the database cannot be used: unable to open database file",
        "supervisor: order died (exit status 75); it is started again until it runs",
    }
    assert sum("supervisor:" in line for line in said) == 1


async def test_a_service_runs_all_its_loops(
    order: Service, notification: Service
) -> None:
    """The relay sends, a reconciler pulls what each reaction hears, and what nobody needs is deleted."""
    watch = ["watch over the feed's bound"] if order.database.is_shared else []

    assert [task.get_name() for task in order.app.state.tasks] == [
        "relay",
        "reconciler of show_notification_on_notification_sent",
        "reconciler of show_notification_on_notification_failed",
        "reconciler of show_notification_on_notification_released",
        "housekeeping",
        *watch,
    ]
    assert [task.get_name() for task in notification.app.state.tasks] == [
        "relay",
        "reconciler of notify_customer_on_order_created",
        "housekeeping",
        *watch,
        "console dispatcher",
        "email dispatcher",
    ]
