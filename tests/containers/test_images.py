"""The images of the services: what is in them, what is not, and that their bills of materials say so."""

import os
import re
from typing import Any

import pytest

from tests.support.containers import System
from toolchain import images
from toolchain.audit import licences
from toolchain.containers import bill
from toolchain.machine import this_machine
from toolchain.runfile import ROOT

pytestmark = [
    pytest.mark.system,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine needs root"),
]


def test_an_image_has_no_more_than_a_service_needs(system: System) -> None:
    """Neither pip, nor the other service, nor tests or secrets; and it is small beside its base."""
    engine, image = system.stack.engine, "orders-on-dapr/order:local"
    ls = engine.docker(
        "run",
        "--rm",
        "--network=none",
        image,
        "sh",
        "-c",
        "ls /app /app/services; ls /opt/packages/bin",
    )
    size, base = (
        int(engine.docker("inspect", "--format", "{{.Size}}", each))
        for each in (image, "orders-on-dapr/base:bookworm")
    )

    assert {"chassis", "contracts", "order", "uvicorn"} <= {*ls.split()}
    assert not {"notification", "tests", "toolchain", "pip", ".git"} & {*ls.split()}
    assert size - base < 180e6


def test_the_bill_of_an_image_names_what_the_container_has(system: System) -> None:
    """Read from the container's files: of Debian its own register, of Python the folders; and the lock agrees."""
    document = bill.of_image(system.stack.engine, "orders-on-dapr/order:local")

    register = system.run("order", "cat /var/lib/dpkg/status")
    installed = [each for each in register.split("\n\n") if " ok installed" in each]
    assert packages(document, "deb") == {
        (field(each, "Package"), field(each, "Version")) for each in installed
    }
    site = "/opt/packages/lib/*/site-packages"
    folders = system.run("order", f"cd {site} && ls -d *.dist-info").split()
    python = {normal(*each.removesuffix(".dist-info").split("-")) for each in folders}
    assert {normal(*each) for each in packages(document, "pypi")} == python
    locked = licences.locked(ROOT / "requirements.txt")
    assert python <= {normal(*each) for each in locked.items()}
    assert document["metadata"]["component"]["version"] == this_machine().version


def test_the_bill_of_the_sidecar_names_its_go_modules(system: System) -> None:
    """As the program in the image records them, Dapr's own module first."""
    engine, machine = system.stack.engine, this_machine()

    document = images.of_sidecar(machine, engine, "orders-on-dapr/daprd:local")

    names = {each["name"] for each in document["components"]}
    assert {"libc6", "github.com/dapr/components-contrib"} <= names
    (itself,) = (each for each in document["components"] if each["name"] == "daprd")
    assert itself["version"].removeprefix("v") in system.run(
        "order-dapr", "/daprd --version"
    )


def packages(document: dict[str, Any], kind: str) -> set[tuple[str, str]]:
    """Return name and version of a bill's packages of this kind."""
    return {
        (each["name"], each["version"])
        for each in document["components"]
        if each.get("purl", "").startswith(f"pkg:{kind}/")
    }


def field(paragraph: str, name: str) -> str:
    """Return a field of a paragraph of dpkg's register."""
    found = re.search(rf"^{name}: (.+)$", paragraph, re.MULTILINE)
    assert found, paragraph
    return found[1]


def normal(name: str, version: str) -> tuple[str, str]:
    """Return a package of Python by the one name that all of its spellings have."""
    return re.sub(r"[-_.]+", "-", name).lower(), version
