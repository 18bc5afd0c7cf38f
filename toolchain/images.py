"""Build the images of both services, write what is in each, and start each: python -m toolchain.images.

The bills of materials (SBOM) are in .local/sbom, beside those of `make audit`.
"""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from toolchain import containers
from toolchain.audit.__main__ import BILLS
from toolchain.audit.bill import of_program
from toolchain.containers import Engine, bill
from toolchain.machine import Machine, find, terminal, this_machine
from toolchain.machine.failure import Failure, exit_status
from toolchain.runfile import free_port
from toolchain.up import images

ANSWERS_WITHIN = 120.0


def make(machine: Machine) -> None:
    """Build both, write their bills, start each twice, and print how large it is and how soon it answers."""
    with containers.running(machine) as engine:
        built = _built(machine, engine)
        _write_bills(machine, engine, built)
        for image in built.values():
            size = int(engine.docker("inspect", "--format={{.Size}}", image))
            first, second = (start(engine, image) for _ in range(2))
            terminal.done(
                "image",
                f"{image}, {size / 1e6:.0f} MB; answers {first:.1f} s after docker run, then {second:.1f} s",
            )


def write_bills(machine: Machine) -> None:
    """Build both and write their bills; where no engine can run, only a warning."""
    with ExitStack() as until:
        try:
            engine = until.enter_context(containers.running(machine))
        except Failure as failure:
            terminal.warning("bill", f"of the images: NOT WRITTEN: {failure.what}")
            return
        _write_bills(machine, engine, _built(machine, engine))


def start(engine: Engine, image: str) -> float:
    """Start an image alone, on a read-only file system, and return the seconds until it answers its first 200."""
    port = free_port()
    began = time.monotonic()
    started = engine.docker(
        "run", "--detach", "--network=host", "--read-only", "--cap-drop=ALL",
        "--tmpfs=/tmp", "--tmpfs=/secrets:uid=10001,mode=700",
        f"--env=PORT={port}", "--env=DATABASE_URL=sqlite:////tmp/of-a-try.db", image,
    ).strip()  # fmt: skip
    try:
        while not _is_healthy(port):
            if time.monotonic() - began > ANSWERS_WITHIN:
                said = engine.docker("logs", "--tail=12", started)
                raise Failure(f"{image} does not answer", said, "Correct it.")
            time.sleep(0.02)
        return time.monotonic() - began
    finally:
        engine.docker("rm", "--force", started)


def _is_healthy(port: int) -> bool:
    with (
        suppress(OSError),
        urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer,
    ):
        return bool(answer.status == 200)
    return False


def _built(machine: Machine, engine: Engine) -> dict[str, str]:
    base = images.base_of(machine, engine, local=images.are_local(machine, engine))
    return {
        service: containers.build(
            machine, engine, images.image_of(machine, service, base)
        )
        for service in images.SERVICES
    }


def _write_bills(machine: Machine, engine: Engine, built: Mapping[str, str]) -> None:
    for service, image in built.items():
        _write(machine, service, bill.of_image(engine, image))
    if images.are_local(machine, engine):
        base = images.base_of(machine, engine, local=True)
        image = containers.build(machine, engine, images.daprd_of(machine, base))
        _write(machine, "daprd", of_sidecar(machine, engine, image))


def of_sidecar(machine: Machine, engine: Engine, image: str) -> dict[str, Any]:
    """Return the bill of the sidecar's image: what is installed, and the Go modules of the program in it."""
    document = bill.of_image(engine, image)
    go, container = find(machine, "go"), engine.docker("create", image, "-").strip()
    try:
        with TemporaryDirectory() as folder:
            engine.docker("cp", f"{container}:/daprd", folder)
            if go:
                recorded = of_program(go, Path(folder) / "daprd")
                itself = recorded["metadata"]["component"]
                document["components"] += [itself, *recorded["components"]]
    finally:
        engine.docker("rm", container)
    return document


def _write(machine: Machine, part: str, document: dict[str, Any]) -> None:
    file = machine.root / BILLS / f"image-{part}.cdx.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
    number = len(document["components"])
    terminal.done("bill", f"{BILLS}/{file.name}: {number} packages")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: make(this_machine())))
