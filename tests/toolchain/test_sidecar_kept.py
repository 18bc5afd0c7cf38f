"""A real sidecar under its supervisor: what ends it or holds it still is named, and so is that it works again."""

import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.part import Part
from toolchain import runfile
from toolchain.runfile import ROOT, free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
"""


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    """Make a resources folder with a component that needs no broker."""
    folder = tmp_path / "resources"
    folder.mkdir()
    (folder / "pubsub.yaml").write_text(COMPONENT)
    return folder


@pytest.fixture
async def not_started(resources: Path, tmp_path: Path) -> AsyncIterator[Part]:
    """Make a sidecar of its own, without an app; it is stopped where a test has started it."""
    ports = (
        "dapr-http-port",
        "dapr-grpc-port",
        "dapr-internal-grpc-port",
        "metrics-port",
    )
    command = [
        str(ROOT / "toolchain" / ".dapr" / "bin" / "daprd"),
        *("--app-id", "kept", "--placement-host-address", " "),
        *("--scheduler-host-address", " ", "--dapr-listen-addresses", "127.0.0.1"),
        *("--resources-path", str(resources)),
        *(
            "--config",
            str(runfile.load(1, tmp_path).document["common"]["configFilePath"]),
        ),
        *(word for port in ports for word in (f"--{port}", str(free_port()))),
    ]
    part = Part(command, dict(os.environ), tmp_path / "sidecar.log")
    yield part
    part.stop()


@pytest.fixture
async def sidecar(not_started: Part) -> Part:
    """Start this sidecar."""
    not_started.start()
    await says(not_started, "dapr initialized. Status: Running")
    return not_started


async def says(part: Part, words: str) -> None:
    """Wait until the sidecar, or its supervisor, has written these words."""

    async def said() -> bool:
        return words in part.said()

    await eventually(said, f"it says {words!r}", 60)


async def test_a_second_file_of_a_component_is_named_and_what_is_mended_works_again(
    sidecar: Part, resources: Path
) -> None:
    await says(sidecar, "dapr initialized")
    again = resources / "copy.yaml"

    shutil.copy(resources / "pubsub.yaml", again)

    await says(sidecar, "supervisor: the sidecar of kept died (exit status 1: Fatal")
    assert "duplicate definition of Component name pubsub" in sidecar.said()
    again.unlink()
    await says(sidecar, "supervisor: the sidecar of kept works again")


async def test_a_sidecar_that_is_held_still_is_named_and_that_it_goes_on(
    sidecar: Part,
) -> None:
    (pid,) = sidecar.pids()

    os.kill(pid, signal.SIGSTOP)

    await says(
        sidecar,
        f"the sidecar of kept is held still (SIGSTOP), and goes on after: kill -CONT {pid}",
    )
    os.kill(pid, signal.SIGCONT)
    await says(sidecar, "supervisor: the sidecar of kept works again")


async def test_a_sidecar_that_somebody_stops_says_so_and_that_it_works_again(
    sidecar: Part,
) -> None:
    (pid,) = sidecar.pids()

    os.kill(pid, signal.SIGTERM)  # as `dapr stop` does

    await says(
        sidecar,
        "the sidecar of kept was stopped, as by `dapr stop`, and is started again; Ctrl-C",
    )
    await says(sidecar, "supervisor: the sidecar of kept works again")


async def test_a_sidecar_that_cannot_write_down_its_name_is_started_again_until_it_can(
    not_started: Part, tmp_path: Path
) -> None:
    (names := tmp_path / "names.db").mkdir()
    not_started.start()
    await says(not_started, "nr (sqlite/v1)")
    await says(not_started, "it is started again until it runs")

    names.rmdir()

    async def is_named() -> bool:
        with closing(sqlite3.connect(names)) as database, suppress(sqlite3.Error):
            return database.execute("SELECT app_id FROM hosts").fetchall() == [
                ("kept",)
            ]
        return False

    await eventually(is_named, "its name is written down")
