"""The wheel: it holds the chassis alone, and a service outside this repository runs on it."""

import ast
import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import venv
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import httpx
import pytest
import yaml

from tests.support.database import secrets_in
from tests.support.delivering import order_created
from tests.support.eventually import answers, eventually
from tests.support.part import Part
from tests.support.serving import serving_app
from tests.support.shop import Shop
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.simulated_delivery import bulk
from tests.support.system import (
    RealSystem,
    running,
    sidecar_command,
    without_scopes,
)
from toolchain import runfile
from toolchain.documents import names
from toolchain.new_service import name as naming
from toolchain.new_service.__main__ import texts

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "loyalty.py"
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import chassis

for each in pkgutil.walk_packages(chassis.__path__, "chassis."):
    # What only Alembic, or a command line, runs.
    if ".migrations." not in each.name and not each.name.endswith("__main__"):
        importlib.import_module(each.name)
ours = {name.partition(".")[0] for name in sys.modules}
print(chassis.__file__, sorted(ours & {"contracts", "services", "tests", "toolchain"}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, as `pip wheel .` does."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a new environment, in which its dependencies are as in this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    (packages,) = folder.glob("lib/*/site-packages")
    (ours,) = [each for each in sys.path if each.endswith("site-packages")]
    (packages / "dependencies.pth").write_text(ours)
    installed = folder / "bin" / "python"
    uv("pip", "install", "--no-deps", "--python", str(installed), str(wheel))
    return installed


def uv(*arguments: str) -> None:
    """Run uv, without the network."""
    program = Path(sys.executable).with_name("uv")
    subprocess.run([program, *arguments, "--offline", "--quiet"], check=True)


def environment() -> dict[str, str]:
    """Return an environment in which this repository cannot be imported."""
    kept = {**os.environ}
    kept.pop("PYTHONPATH", None)
    return kept


def test_the_wheel_holds_the_chassis_alone(wheel: Path) -> None:
    with ZipFile(wheel) as opened:
        names = opened.namelist()

    tops = {name.partition("/")[0] for name in names}
    assert {each for each in tops if not each.endswith(".dist-info")} == {"chassis"}
    assert "chassis/py.typed" in names
    assert "chassis/database/migrations/env.py" in names
    assert "chassis/database/migrations/script.py.mako" in names
    assert "chassis/database/migrations/versions/0001_chassis.py" in names


def test_the_package_describes_itself(wheel: Path) -> None:
    with ZipFile(wheel) as opened:
        (name,) = [each for each in opened.namelist() if each.endswith("/METADATA")]
        told, _, description = opened.read(name).decode().partition("\n\n")

    assert description == (ROOT / "chassis" / "README.md").read_text()
    assert "\nRequires-Python: >=3.11" in told
    assert "\nLicense-Expression: MIT" in told


async def test_the_service_that_the_package_shows_is_one(
    python: Path, tmp_path: Path
) -> None:
    shown = re.search(r"```python\n(.+?)```", (ROOT / "chassis/README.md").read_text(), re.DOTALL)  # fmt: skip
    assert shown
    (tmp_path / "greeter.py").write_text(shown[1])

    async with serving(python, tmp_path, "greeter:create_app") as client:
        subscribed = (await client.get("/dapr/subscribe")).json()

    assert "PaymentReceived" in {each["topic"] for each in subscribed}


def test_every_public_name_of_the_chassis_says_what_it_is() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.*) \|$", names.document())

    assert len(rows) > 100
    assert [name for name, what in rows if not what] == []


def test_services_import_of_the_chassis_what_is_public() -> None:
    public = {f"chassis.{each}" for each in (*names.ROOMS, *names.MODULES)}
    template = ROOT / "toolchain/new_service/template"
    for file in (*template.glob("*.py.txt"), EXAMPLE):
        lines = re.findall(r"(?m)^from (chassis[\w.]*) import", file.read_text())
        assert {*lines} <= public, file


def test_the_chassis_imports_nothing_else_of_this_repository(
    python: Path, tmp_path: Path
) -> None:
    said = subprocess.run(
        [python, "-c", IMPORT_EVERYTHING],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(str(python.parents[1]))
    assert said.stdout.endswith("[]\n")


def test_what_the_chassis_imports_is_installed_with_it() -> None:
    imported = {
        name for file in (ROOT / "chassis").rglob("*.py") for name in imports(file)
    }
    packages = packages_distributions()

    found = {_normal(packages[name][0]) for name in imported if name in packages}

    declared = re.findall(r'^  "([\w.-]+)', _dependencies(), re.MULTILINE)
    assert found <= {_normal(each) for name in declared for each in closure(name)}


def _dependencies() -> str:
    text = (ROOT / "pyproject.toml").read_text()
    return text.partition("\ndependencies = [")[2].partition("\n]")[0]


def imports(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a module imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def closure(distribution: str) -> set[str]:
    """Return a distribution and what is installed with it, without extras."""
    needed = {_normal(distribution)}
    for line in requires(distribution) or []:
        if "extra ==" not in line and (name := re.match(r"[\w.-]+", line)):
            needed.add(_normal(name[0]))
    return needed


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_a_service_on_it_is_checked_by_its_types(python: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)

    said = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-executable", python),
            *("--config-file", os.devnull, "--cache-dir", tmp_path / "cache", "loyalty.py"),
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert said.returncode == 0, said.stdout


def test_the_example_is_short() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]

    assert len(lines) <= 45


def granted(database: Path) -> dict[UUID, str]:
    """Return the CloudEvent that grants a point, by its order."""
    query = (
        "SELECT event, event ->> '$.subject' FROM outbox WHERE topic = 'PointGranted'"
    )
    with closing(sqlite3.connect(database)) as connection:
        return {UUID(subject): event for event, subject in connection.execute(query)}


@asynccontextmanager
async def serving(
    python: Path, folder: Path, app: str, **more: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app with the installed chassis, outside the repository; yield a client of it."""
    port = runfile.free_port()
    log = folder / "service.log"
    service = Part(command(python, port, folder, app), settings(folder, **more), log)
    secrets_in(folder)
    service.start()
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            await eventually(
                lambda: answers(client, "/healthz"), "it serves", deadline=60
            )
            yield client
    finally:
        await asyncio.to_thread(service.stop)


def command(
    python: Path, port: int, folder: Path, app: str = "loyalty:create_app"
) -> list[str]:
    """Return the command that runs an app that lies in this folder."""
    served = ["-m", "uvicorn", "--factory", app, f"--port={port}"]
    return ["env", "-C", str(folder), str(python), *served]


def settings(folder: Path, **more: str) -> dict[str, str]:
    """Return the example's environment."""
    url = f"sqlite:///{folder}/loyalty.db"
    return {**environment(), "DATABASE_URL": url, "SECRETS_FOLDER": str(folder), **more}


async def test_a_service_on_it_handles_an_event_and_publishes_its_own(
    python: Path, tmp_path: Path
) -> None:
    event, dapr = order_created(), SimulatedDapr()
    shutil.copy(EXAMPLE, tmp_path)
    with serving_app(dapr.app) as port:
        sidecar = {"DAPR_HTTP_PORT": str(port)}
        async with serving(python, tmp_path, "loyalty:create_app", **sidecar) as client:
            for _ in range(2):
                await handled(client, event)

            async def published() -> dict[str, Any] | None:
                return next(iter(dapr.published), None)

            granted = await eventually(published, "it is published")

    assert len(dapr.published) == 1
    assert granted["type"] == "PointGranted"
    assert granted["subject"] == event["subject"]


async def handled(client: httpx.AsyncClient, event: dict[str, Any]) -> None:
    """Deliver OrderCreated to a service as its sidecar does."""
    delivered = bulk({"1": json.dumps(event).encode()})
    answer = await client.post("/events/OrderCreated", content=delivered)
    assert answer.json() == {"statuses": [{"entryId": "1", "status": "SUCCESS"}]}


@pytest.fixture
def statistics(python: Path, tmp_path: Path) -> Path:
    """Write the tutorial's service into a folder that has the contracts, and no chassis beside it."""
    name = naming.check("statistics", ROOT)
    for path, text in texts(ROOT, name, naming.ports(ROOT)).items():
        if path.startswith("services/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    migrate = ("-m", "chassis.database.migrate", "services.statistics", "Days")
    subprocess.run([python, *migrate], cwd=tmp_path, env=environment(), check=True)
    return tmp_path


async def test_the_service_of_the_tutorial_runs_on_it(
    python: Path, statistics: Path
) -> None:
    event, app = order_created(), "services.statistics.app:create_app"

    async with serving(python, statistics, app) as client:
        for _ in range(2):
            await handled(client, event)
        counted = (await client.get("/api/statistics")).json()

    assert counted == [{"day": event["data"]["createdAt"][:10], "orders": 1}]


@pytest.mark.system
async def test_a_service_on_it_reacts_to_orders_on_real_sidecars(
    python: Path, tmp_path: Path
) -> None:
    async with (
        running(tmp_path) as system,
        beside(system, python) as client,
    ):
        await eventually(lambda: answers(client, "/readyz"), "it is ready", deadline=60)
        order = await Shop(system, client).orders("Jane Doe")

        async def points() -> str | None:
            return granted(tmp_path / "loyalty.db").get(UUID(order.id))

        event = await eventually(points, "the order earns a point", deadline=30)
        assert '"signature":"1.' in event


@asynccontextmanager
async def beside(system: RealSystem, python: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run the example and its sidecar beside a system, with components of their own."""
    folder = system.system.state
    ports = {name: runfile.free_port() for name in PORTS}
    app = {"appID": "loyalty", **ports}
    sidecar = Part(
        sidecar_command(with_components(system, folder / "components"), app),
        {**os.environ, **system.system.addresses(), "APP_ID": "loyalty"},
        folder / "loyalty-sidecar.log",
    )
    service = Part(
        command(python, ports["appPort"], folder),
        settings(
            folder,
            DAPR_HTTP_PORT=str(ports["daprHTTPPort"]),
            SECRETS_FOLDER=str(folder / "secrets"),
        ),
        folder / "loyalty.log",
    )
    shutil.copy(EXAMPLE, folder)
    url = f"http://127.0.0.1:{ports['appPort']}"
    try:
        sidecar.start()
        service.start()
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            yield client
    finally:
        await asyncio.to_thread(service.stop)
        await asyncio.to_thread(sidecar.stop)


PORTS = (*runfile.APP_PORTS, "daprGRPCPort")


def with_components(real: RealSystem, folder: Path) -> runfile.System:
    """Return a system whose components are copies in this folder, which serve every app."""
    system = real.system
    folder.mkdir()
    for name in (f"{system.broker}/pubsub.yaml", "secrets.yaml", "resiliency.yaml"):
        component: dict[str, Any] = yaml.safe_load(
            (ROOT / "components" / name).read_text()
        )
        component.pop("scopes", None)
        if metadata := component["spec"].get("metadata"):
            component["spec"]["metadata"] = without_scopes(metadata)
        (folder / Path(name).name).write_text(yaml.safe_dump(component))
    common = {**system.document["common"], "resourcesPaths": [str(folder)]}
    return replace(system, document={**system.document, "common": common})
