"""A service, put together: how it starts, what it runs, and how it ends where its database is unavailable."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.http import Router, Unit
from chassis.inbox import Reaction
from chassis.service import create
from contracts.order_created import OrderCreated
from tests.support.eventually import eventually, within
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.runfile import free_port

ROOT = Path(__file__).parents[3]
PASSWORD = "not-to-be-shown"
SERVER = [
    *(sys.executable, "-m", "uvicorn", "--factory", "services.order.app:create_app"),
    *("--port=0", "--no-access-log", "--log-level=warning"),
]
LINE = "ERROR chassis.service.service: the database is unavailable: "


def settings(folder: Path, kind: str) -> dict[str, str]:
    """Return the environment of a service whose database is one of those that cannot be used."""
    (folder / "no.db").mkdir()
    (folder / "text.db").write_text(
        "this is no database, and long enough to see that\n" * 99
    )
    server = f"postgresql://order:{PASSWORD}"
    url = {
        "a folder": f"sqlite:///{folder}/no.db",
        "a folder in a file": f"sqlite:///{folder}/text.db/order.db",
        "a text": f"sqlite:///{folder}/text.db",
        "a server that does not run": f"{server}@127.0.0.1:{free_port()}/order",
        "a server without an address": f"{server}@nowhere.invalid/order",
    }[kind]
    return {"DATABASE_URL": url, "SECRETS_FOLDER": str(folder)}


UNAVAILABLE = {
    "a folder": "unable to open database file",
    "a folder in a file": "File exists",
    "a text": "file is not a database",
    "a server that does not run": "Connection refused",
    "a server without an address": "nowhere.invalid",
}


@pytest.mark.parametrize("kind", UNAVAILABLE)
def test_an_unavailable_database_is_one_line_and_an_exit_status_of_its_own(
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

    (line,) = (ended.stdout + ended.stderr).decode().splitlines()
    assert line.startswith(LINE)
    assert UNAVAILABLE[kind] in line
    assert PASSWORD not in line
    assert ended.returncode == os.EX_TEMPFAIL == 75


def test_at_level_debug_the_log_has_the_traceback(tmp_path: Path) -> None:
    environment = settings(tmp_path, "a folder") | {"LOG_LEVEL": "DEBUG"}

    ended = subprocess.run(
        SERVER, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
    )

    assert ended.returncode == os.EX_TEMPFAIL
    assert b"Traceback" in ended.stderr


def test_whoever_supervises_it_starts_it_again_and_logs_so_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {**settings(tmp_path, "a folder"), "APP_ID": "order"}
    with log.open("wb") as written:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "toolchain.supervise.supervisor", *SERVER],
            cwd=ROOT,
            env={"PATH": os.defpath, **environment},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        within(
            30,
            lambda: log.read_text().count(LINE) > 1,
            "it is started again",
        )
    finally:
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(30) == 0

    (line,) = [line for line in log.read_text().splitlines() if "died" in line]
    assert "order died (exit status 75; its last words: ERROR" in line


async def test_a_service_runs_all_its_loops(
    order: Service, notification: Service
) -> None:
    """The relay, retention, a reconciler for each reaction, and a service's own."""
    names = [task.get_name() for task in asyncio.all_tasks()]

    assert {
        "reconciler show_notification_on_notification_sent",
        "reconciler show_notification_on_notification_failed",
        "reconciler show_notification_on_notification_released",
        "reconciler notify_customer_on_order_created",
        "dispatcher",
    } <= set(names)
    assert names.count("relay") == names.count("retention") == 2
    watched = [name for name in names if "long transaction" in name]
    assert len(watched) == (2 if order.database.is_shared else 0)


async def test_the_parts_are_all_that_an_app_holds(order: Service) -> None:
    state = order.app.state._state
    assert state["parts"].name == "order"
    # What the rooms above them keep beside them, each read in one place.
    assert set(state) == {"parts", "templates", "live", "dead_letters"}


async def test_a_slow_unit_of_work_does_not_stop_the_event_loop(order: Service) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def work(_session: Session) -> None:
        has_begun.set()
        assert may_end.wait(30)

    slow = [asyncio.create_task(order.database.write(work)) for _ in range(20)]
    await asyncio.to_thread(has_begun.wait, 30)

    async with asyncio.timeout(10):
        for path in ("/healthz", "/api/order"):
            assert (await order.http.get(path)).status_code == 200
    posting = asyncio.create_task(
        order.http.post("/api/order", json={"customerName": "Jane"})
    )
    assert not slow[0].done()
    may_end.set()
    await asyncio.gather(*slow)
    assert (await posting).status_code == 201


@pytest.mark.usefixtures("each_database")
async def test_a_service_that_is_stopped_leaves_no_task_and_no_thread(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    tasks = asyncio.all_tasks()

    async with order_service(tmp_path, dapr) as order:
        await order.http.post("/api/order", json={"customerName": "Jane"})

    async def all_have_ended() -> bool:
        return asyncio.all_tasks() <= tasks

    await eventually(all_have_ended, "every task has ended", deadline=10)
    threads = [thread.name for thread in threading.enumerate()]
    assert [name for name in threads if name.startswith("order ")] == []


async def test_two_reactions_of_one_name_are_refused_when_the_service_is_put_together(
    order: Service,
) -> None:
    """The inbox would take what one of them has handled for handled by both."""

    def act(_event: OrderCreated, _envelope: CloudEvent, _session: Session) -> None:
        raise NotImplementedError

    reactions = [Reaction(OrderCreated, act), Reaction(OrderCreated, act)]

    with pytest.raises(ValueError, match="two reactions are named act"):
        create(order.parts, routers=[], reactions=reactions)


async def test_a_router_of_fastapi_is_refused_when_the_service_is_put_together(
    order: Service,
) -> None:
    """Its routes would check no body, and fail at their first request."""
    plain, ours = APIRouter(), Router(tags=["Things"])

    @plain.post("/api/thing")
    async def post_thing(unit: Unit) -> Response:
        raise NotImplementedError(unit)

    ours.include_router(plain)

    for router in (plain, ours):
        with pytest.raises(TypeError, match="/api/thing is on a router of FastAPI"):
            create(order.parts, routers=[router])  # type: ignore[list-item]
