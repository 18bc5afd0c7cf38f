"""The tutorial: typed exactly as it stands there, in a fresh copy of this repository, it works."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.database import secrets_in
from tests.support.delivering import order_created
from tests.support.eventually import answers, eventually
from tests.support.repository import copied
from tests.support.simulated_delivery import bulk
from toolchain import runfile

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
PROGRAMS = Path(sys.executable).parent
BLOCK = re.compile(
    r"(?:^`([\w/]+\.py)`[^\n]*\n\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def files() -> dict[str, str]:
    """Return the files that one writes."""
    found = BLOCK.findall(TUTORIAL.read_text())
    return {name: text for name, language, text in found if language == "python"}


def typed() -> list[str]:
    """Return what one types in a terminal, block by block."""
    found = BLOCK.findall(TUTORIAL.read_text())
    return [text for _, language, text in found if not language]


def run(*command: str | Path, folder: Path) -> None:
    """Run a command in a folder; show what it said where it failed."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Follow the tutorial, up to where the system is run."""
    folder = copied(tmp_path_factory.mktemp("clone"))
    make = typed()[0].replace(
        "make new-service NAME=", "python -m toolchain.new_service "
    )
    run("sh", "-ec", f". .venv/bin/activate && {make}", folder=folder)
    return folder


def test_it_is_short() -> None:
    lines = [line for text in files().values() for line in text.splitlines() if line]

    assert len(files()) == 4
    assert len(lines) <= 120


def test_it_shows_the_code_that_the_command_writes(followed: Path) -> None:
    for path, text in files().items():
        assert (followed / path).read_text() == text


@asynccontextmanager
async def served(clone: Path, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run the new service alone."""
    port = runfile.free_port()
    settings = (
        f"DATABASE_URL=sqlite:///{folder}/statistics.db",
        f"SECRETS_FOLDER={secrets_in(folder)}",
    )
    served = ("--factory", "services.statistics.app:create_app", f"--port={port}")
    process = await asyncio.create_subprocess_exec(
        *("env", *settings, PROGRAMS / "uvicorn", *served), cwd=clone
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            await eventually(
                lambda: answers(client, "/healthz"), "it serves", deadline=30
            )
            yield client
    finally:
        process.terminate()
        await process.wait()


async def test_the_service_counts_an_order_once_however_often_it_is_delivered(
    followed: Path, tmp_path: Path
) -> None:
    event = order_created()
    delivered = bulk({"1": json.dumps(event).encode()})

    async with served(followed, tmp_path) as client:
        for _ in range(2):
            answer = await client.post("/events/OrderCreated", content=delivered)
            statuses = [{"entryId": "1", "status": "SUCCESS"}]
            assert answer.json() == {"statuses": statuses}
        counted = (await client.get("/api/statistics")).json()

    assert counted == [{"day": event["data"]["createdAt"][:10], "orders": 1}]


@contextmanager
def running(clone: Path, offset: int) -> Iterator[None]:
    """Type `make run`, and Ctrl-C at the end."""
    _, start, _, *_ = typed()
    command = f"make {start.split('make ')[-1].strip()} OFFSET={offset}"
    with (clone / "run.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=clone,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(90)


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_what_it_says_to_type_runs_and_counts(followed: Path) -> None:
    offset = runfile.free_offset()
    placing, asking = moved(typed()[2], offset)
    app = f"http://127.0.0.1:{8003 + offset}"

    with running(followed, offset):
        async with httpx.AsyncClient(trust_env=False, base_url=app) as client:
            await eventually(
                lambda: answers(client, "/readyz"), "it runs", deadline=150
            )
        await eventually(lambda: says(placing, "orderId"), "an order", deadline=60)
        await eventually(lambda: says(asking, '"orders":'), "the count", deadline=60)


def moved(commands: str, offset: int) -> list[str]:
    """Return the tutorial's requests, to a system whose ports are higher."""
    joined = commands.replace("\\\n", "")
    return joined.replace(":3500", f":{3500 + offset}").strip().splitlines()


async def says(command: str, expected: str) -> bool:
    """Type a command; return whether it says this."""
    return expected in await asked(command)


async def asked(command: str) -> str:
    """Type a command; return what it says."""
    process = await asyncio.create_subprocess_shell(
        command.replace("curl", "curl --noproxy '*'"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    return said.decode()
