"""A real sidecar under its supervisor: what ends it or holds it still is named, and so is that it works again."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
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
async def sidecar(resources: Path, tmp_path: Path) -> AsyncIterator[Part]:
    """Run a sidecar of its own, without an app; it is stopped."""
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
    part.start()
    await says(part, "dapr initialized. Status: Running")
    yield part
    part.stop()


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
