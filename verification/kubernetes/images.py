"""The images of the cluster: of the system, of Dapr's control plane, and of the DNS."""

from pathlib import Path

from toolchain import containers
from toolchain.cluster import node
from toolchain.cluster.programs import NAMES
from toolchain.containers import Engine, Image
from toolchain.dapr import build
from toolchain.dapr.programs import INJECTOR, OPERATOR, SENTRY
from toolchain.machine import Machine
from toolchain.up import images


def save(machine: Machine, engine: Engine, file: Path) -> None:
    """Build all images, and write them to this file."""
    base = containers.provide_base(machine, engine)
    made = [images.image_of(machine, each, base) for each in images.SERVICES]
    made += [images.package(each, base) for each in ("rabbitmq", "postgresql")]
    made.append(images.sidecar(machine, base))
    for each in (OPERATOR, SENTRY, INJECTOR, NAMES):
        made.append(images.program(build.provide(machine, each), base))
    pause = images.FOLDER / "pause"
    made.append(Image(node.PAUSE, pause / "Dockerfile", pause, {"BASE": base}))
    names = [containers.build(machine, engine, each) for each in made]
    engine.docker("save", "--output", str(file), *names)
