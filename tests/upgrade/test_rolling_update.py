"""A rolling update from each release to newer tables, and back: the release's own code runs meanwhile."""

import asyncio
import io
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from chassis.database import migrate
from chassis.database.engine import is_sqlite, open_engine
from services.order.model import Order
from tests.chassis.database.test_migration import copy_of_order
from tests.chassis.database.test_online_migrations import EXPAND, INDEX, MIGRATION, OURS
from tests.support.database import secrets_in
from tests.support.eventually import eventually
from tests.support.postgresql import Databases
from tests.upgrade.dumps import load
from tests.upgrade.release import DATABASES
from tests.upgrade.test_upgrade import RELEASES
from toolchain.runfile import free_port

ROOT = Path(__file__).parents[2]
TABLE = "op.create_table('later', sa.Column('id', sa.Integer, primary_key=True))"
NEWER = (
    ("0002_order", OURS, EXPAND),
    ("0003_order", "0002_order", INDEX),
    ("0004_order", "0003_order", TABLE),
)
KINDS = [(release, kind) for release in RELEASES for kind in DATABASES]


def git(*arguments: str) -> bytes:
    """Return what git says, or skip where there is no such history."""
    ended = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, check=False
    )
    if ended.returncode:
        pytest.skip(f"git has no history here: {ended.stderr.decode().strip()}")
    return ended.stdout


def code_of(release: Path, folder: Path) -> Path:
    """Write a release's code into a folder: that of the commit which kept what it leaves behind."""
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("this clone has no history")
    kept = str(release.relative_to(ROOT) / "orders.json")
    commit = git("log", "--diff-filter=A", "--format=%H", "--", kept).decode().split()
    if not commit:
        pytest.skip(f"no commit has made {kept}")
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit[-1]))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@dataclass
class Customers:
    """Customers who order one after the other, through whichever process serves; and what they were answered."""

    folder: Path
    ports: list[int] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    async def order(self) -> None:
        """Order until nobody waits any more."""
        async with httpx.AsyncClient(timeout=30) as http:
            while True:
                for port in tuple(self.ports):
                    await self._order(http, port)
                await asyncio.sleep(0.01)

    async def _order(self, http: httpx.AsyncClient, port: int) -> None:
        url = f"http://127.0.0.1:{port}/api/order"
        try:
            answer = await http.post(url, json={"customerName": "Jane Doe"})
        except httpx.TransportError as error:
            if port in self.ports:
                self.refused.append(repr(error))
            return
        if answer.status_code == 201:
            self.accepted.add(answer.json()["orderId"])
        else:
            self.refused.append(answer.text)

    async def get_more(self) -> None:
        """Wait until five more orders are accepted."""
        wanted = len(self.accepted) + 5

        async def are_accepted() -> bool:
            return len(self.accepted) >= wanted

        await eventually(are_accepted, "five more orders are accepted")


@asynccontextmanager
async def ordering(folder: Path) -> AsyncIterator[Customers]:
    """Have customers order meanwhile."""
    customers = Customers(folder)
    task = asyncio.create_task(customers.order())
    try:
        yield customers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def serving(code: Path, url: str, customers: Customers) -> AsyncIterator[None]:
    """Run the order service of a release, without a sidecar, which orders do not need; customers come to it."""
    port, log = free_port(), customers.folder / "service.log"
    secrets = secrets_in(customers.folder)
    given = {
        "DATABASE_URL": url,
        "SECRETS_FOLDER": secrets,
        "DAPR_HTTP_PORT": free_port(),
    }
    with log.open("ab") as written:
        process = await asyncio.create_subprocess_exec(
            *("env", *(f"{name}={value}" for name, value in given.items())),
            *(sys.executable, "-m", "uvicorn", "--factory", f"--port={port}"),
            *("--log-level=warning", "services.order.app:create_app"),
            cwd=code,
            stderr=written,
        )
    try:
        await eventually(lambda: _is_up(port, process), f"{code.name} serves")
        customers.ports.append(port)
        yield
        customers.ports.remove(port)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _is_up(port: int, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, "it has ended; its log is service.log"
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def part(url: str) -> None:
    """Partition a database by the command of docs/databases.md, until nobody stands in its way."""

    async def is_done() -> bool:
        process = await asyncio.create_subprocess_exec(
            *("env", f"DATABASE_URL={url}"),
            *(sys.executable, "-m", "chassis.database.partitions"),
            cwd=ROOT,
        )
        return await process.wait() == 0

    await eventually(is_done, "the database has partitions")


def stored(url: str) -> set[str]:
    """Return the ids of all orders."""
    engine = open_engine(url)
    with engine.connect() as connection:
        found = {str(each) for each in connection.scalars(select(Order.order_id))}
    engine.dispose()
    return found


def _cluster(request: pytest.FixtureRequest) -> Databases:
    found: Databases = request.getfixturevalue("databases")
    return found


@pytest.fixture(params=KINDS, ids=lambda each: f"{each[0].name}-{each[1]}")
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Load what a release left behind of its order service; return the release and the database's URL."""
    release, kind = request.param
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/order.db"
        if kind == "postgresql":
            databases: Databases = request.getfixturevalue("databases")
            url = stack.enter_context(databases.fresh())
        load(url, (release / f"order.{kind}.sql").read_text("utf-8"))
        yield release, url


async def test_a_release_serves_and_starts_while_tables_become_newer(
    kept: tuple[Path, str], tmp_path: Path
) -> None:
    (release, url), newer = kept, copy_of_order(tmp_path)
    code = code_of(release, tmp_path / release.name)
    for revision, after, does in NEWER:
        filled = MIGRATION.format(
            revision=revision, after=after, does=does, compatible_from=OURS
        )
        (newer / "versions" / f"{revision}.py").write_text(filled)
    async with ordering(tmp_path) as customers:
        async with serving(code, url, customers):
            await customers.get_more()
            await asyncio.to_thread(migrate.upgrade, "order", url, newer)
            await customers.get_more()
            if not is_sqlite(url):
                await part(url)
                await customers.get_more()
            async with serving(ROOT, url, customers):
                await customers.get_more()
        async with serving(code, url, customers):
            await customers.get_more()

    assert customers.refused == []
    assert customers.accepted <= stored(url)
