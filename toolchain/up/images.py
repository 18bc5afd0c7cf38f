"""The images of the system: both services, and where their makers' images cannot be pulled, all other parts."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from toolchain import containers
from toolchain.containers import Engine, Image
from toolchain.dapr import build, programs
from toolchain.machine import Machine, apt, find, terminal
from toolchain.runfile import ROOT
from toolchain.servers import kafka_jars, zipkin

FOLDER = ROOT / "deploy" / "images"
PUBLIC = ROOT / "deploy" / "compose" / "public.env"
SERVICES = ("order", "notification")
PACKAGES = {
    "postgresql": "postgresql",
    "gateway": "nginx openssl",
    "mail": "python3-aiosmtpd",
    "prometheus": "prometheus",
    "java": "default-jre-headless",
    "rabbitmq": "rabbitmq-server",
    "redis": "redis-server",
}
"""The parts that are a package of the distribution."""
BROKERS = ("rabbitmq", "redis", "kafka")


def prepare(machine: Machine) -> None:
    """Make the images that the tests run on, where an engine can run here."""
    if os.geteuid() != 0:
        terminal.warning(
            "containers", "an engine needs root; the system in containers is not tested"
        )
        return
    with containers.running(machine) as engine:
        provide(machine, engine, local=True, broker="rabbitmq")
    terminal.done("containers", "images for tests of make up")


def provide(
    machine: Machine, engine: Engine, *, local: bool, broker: str
) -> dict[str, str]:
    """Build what must be built; return the variables that name all images."""
    base = base_of(machine, engine, local=local)
    made = [image_of(machine, service, base) for service in SERVICES]
    made += _parts(machine, base, broker) if local else ()
    for image in made:
        containers.build(machine, engine, image)
    return _public() | {_variable(image): image.name for image in made}


def are_local(machine: Machine, engine: Engine) -> bool:
    """Return whether no image is pulled: with an engine of our own, unless IMAGES says otherwise."""
    usual = "local" if engine.is_ours else "public"
    return (machine.environment.get("IMAGES") or usual) == "local"


def base_of(machine: Machine, engine: Engine, *, local: bool) -> str:
    """Return what the services' images are built on."""
    return containers.provide_base(machine, engine) if local else _public()["BASE"]


def image_of(machine: Machine, service: str, base: str) -> Image:
    """Return the image of a service, with the version and the commit that it is built from."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=machine.root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    arguments = {
        "BASE": base,
        "SERVICE": service,
        "VERSION": machine.version,
        "COMMIT": commit or "unknown",
    }
    return Image(_name(service), FOLDER / "Dockerfile", ROOT, arguments)


def sidecar(machine: Machine, base: str) -> Image:
    """Return the image of the sidecar that is there, or else of the project's own."""
    there = programs.choose(machine, programs.SIDECAR)
    return program(there or build.provide(machine, programs.SIDECAR), base)


def program(file: Path, base: str) -> Image:
    """Return the image of a program that was built from source."""
    given = {"BASE": base, "PROGRAM": file.name}
    return Image(_name(file.name), FOLDER / "daprd" / "Dockerfile", file.parent, given)


def package(part: str, base: str) -> Image:
    """Return the image of a part that is a package of the distribution."""
    given, parts = {"BASE": base, "PACKAGES": PACKAGES[part]}, FOLDER / "parts"
    return Image(_name(part), parts / "Dockerfile", parts, given)


def daprd_of(machine: Machine, base: str) -> Image:
    """Return the image of the sidecar, for where Dapr's own cannot be pulled."""
    program = programs.choose(machine, programs.SIDECAR) or build.provide(
        machine, programs.SIDECAR
    )
    file = FOLDER / "daprd" / "Dockerfile"
    return Image(_name("daprd"), file, program.parent, {"BASE": base})


def _parts(machine: Machine, base: str, broker: str) -> Iterator[Image]:
    """Yield the other images that a system with this broker needs, each after the one that it is built on."""
    yield sidecar(machine, base)
    for part in PACKAGES:
        if part == broker or part not in BROKERS:
            yield package(part, base)
    if not find(machine, "mvn"):
        instead = "let the makers' images be pulled: IMAGES=public"
        apt.provide(machine, "maven", "Maven", instead)
    java, jars = {"BASE": _name("java")}, FOLDER / "jars" / "Dockerfile"
    yield Image(_name("zipkin"), jars, _readable(zipkin.provide(machine).parent), java)
    if broker == "kafka":
        yield Image(_name("kafka"), jars, _readable(kafka_jars.provide(machine)), java)


def _readable(folder: Path) -> Path:
    """Make the jars readable for everybody: `make run` may have fetched them for its user alone."""
    for jar in folder.glob("*.jar"):
        jar.chmod(0o644)
    return folder


def _name(part: str) -> str:
    return f"orders-on-dapr/{part}:local"


def _variable(image: Image) -> str:
    part = image.name.rpartition("/")[2].removesuffix(":local")
    return f"{part.upper()}_IMAGE"


def _public() -> dict[str, str]:
    lines = PUBLIC.read_text().splitlines()
    return dict(
        line.split("=", 1) for line in lines if line and not line.startswith("#")
    )
