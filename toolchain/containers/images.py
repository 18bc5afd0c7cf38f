"""Images: built from deploy/images; where none can be pulled, on a base of the distribution's own packages."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.containers.engine import Engine
from toolchain.machine import Machine, apt, find, kind, processes, terminal
from toolchain.supervise.locks import made_once, remove

RELEASE = "bookworm"
BASE = f"orders-on-dapr/base:{RELEASE}"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LEFT_OUT = (
    *("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*", "./var/log/*"),
    # What people read, but for the licences; packages that are installed later want its folders.
    *("./usr/share/locale/*", "./usr/share/doc/*/changelog*"),
    *("./usr/share/man/man[0-9]/*", "./usr/share/man/??/*"),
)
PATHS = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def provide_base(machine: Machine, engine: Engine) -> str:
    """Return the image that others are built on: Debian with its Python, made once a machine (about 2 min)."""
    if not engine.knows(BASE):
        packed = made_once(
            machine.cache / "containers" / f"base-{RELEASE}-{kind().split()[-1]}.tar",
            lambda: terminal.busy("base image", "another program makes it: waiting"),
            lambda: _pack(machine),
        )
        engine.docker(
            "import", "--change", "ENV LANG=C.UTF-8", "--change", f"ENV {PATHS}",
            str(packed), BASE,
        )  # fmt: skip
    return BASE


@dataclass(frozen=True)
class Image:
    """An image by its name, and what it is built from: a Dockerfile, the folder that it sees, its arguments."""

    name: str
    file: Path
    folder: Path
    arguments: Mapping[str, str] = field(default_factory=dict)


def build(machine: Machine, engine: Engine, image: Image) -> str:
    """Build an image and return its name; how a package index is reached comes from this machine."""
    given = [f"--build-arg={name}={value}" for name, value in image.arguments.items()]
    secrets = [f"--secret=id={name},src={path}" for name, path in _secrets(machine)]
    engine_to_build = Engine(
        engine.client, {**engine.environment, "DOCKER_BUILDKIT": "1"}, engine.is_ours
    )
    terminal.busy("image", f"building {image.name}")
    place = ["--file", str(image.file), "--tag", image.name]
    engine_to_build.docker(
        "build", "--network=host", *place, *given, *secrets, str(image.folder)
    )
    return image.name


def _secrets(machine: Machine) -> list[tuple[str, Path]]:
    """Return this machine's own settings of pip and its authorities: read while building, kept in no layer."""
    pip = machine.environment.get("PIP_CONFIG_FILE") or "/etc/pip.conf"
    found = [("certificates", CERTIFICATES), ("pip", Path(pip))]
    return [(name, path) for name, path in found if path.is_file()]


def _pack(machine: Machine) -> None:
    if not find(machine, "debootstrap"):
        apt.provide(
            machine, "debootstrap", "debootstrap", "docker pull an image, and set BASE"
        )
    terminal.busy("base image", "Debian with its Python is packed: once, about 2 min")
    folder = machine.cache / "containers"
    root, half = folder / "base", folder / "base.half"
    remove(root)
    try:
        _unpack(machine, root)
        leave = [f"--exclude={each}" for each in LEFT_OUT]
        subprocess.run(["tar", "-C", root, *leave, "-cf", half, "."], check=True)
        half.replace(folder / f"base-{RELEASE}-{kind().split()[-1]}.tar")
    finally:
        shutil.rmtree(root, ignore_errors=True)
        remove(half)


def _unpack(machine: Machine, root: Path) -> None:
    include = "--include=python3,python3-venv,ca-certificates"
    command = (
        "debootstrap",
        "--variant=minbase",
        include,
        RELEASE,
        str(root),
        *_mirror(machine),
    )
    task = processes.Task(
        command,
        machine.root,
        {**machine.environment, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        machine.cache / "logs" / "base-image.log",
    )
    remedy = "Most often the network is the reason. Run it again, or set BASE to an image that can be pulled."
    processes.carry_out(task, "base image", "The base image could not be made", remedy)


def _mirror(machine: Machine) -> tuple[str, ...]:
    """Return where this machine's own packages come from; without it debootstrap's own choice."""
    folder = machine.system / "etc/apt"
    for file in (*folder.glob("sources.list.d/*.sources"), folder / "sources.list"):
        with suppress(OSError):
            if found := re.search(
                r"^(?:URIs:|deb(?: \[.*?\])?) *(\S+)", file.read_text(), re.MULTILINE
            ):
                return (found[1],)
    return ()
