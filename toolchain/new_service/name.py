"""The name of a new service: what it may be, what it becomes in code and files, and which ports are its own."""

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolchain import runfile
from toolchain.machine.failure import EX_CONFIG, Failure

GRAMMAR = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
LONGEST = 30
RESERVED = {"dapr", "daprd", "gateway", "issuer", "sentry", "test"}
"""What has this name already in a system, or would in its log."""
FIRST = {
    "appPort": 8001,
    "daprHTTPPort": 3500,
    "daprGRPCPort": 50001,
    "daprInternalGRPCPort": 3510,
    "metricsPort": 9474,
    "METRICS_PORT": 9464,
}
"""The ports of the first service; each further one has the next of each."""
MOST = 10


@dataclass(frozen=True)
class Name:
    """A service's name: `app` is its app-id, as in order-archive."""

    app: str

    @property
    def package(self) -> str:
        """Its package: order_archive."""
        return self.app.replace("-", "_")

    @property
    def words(self) -> str:
        """How a text names it: order archive."""
        return self.app.replace("-", " ")


def check(text: str, root: Path) -> Name:
    """Return a name that no service of this repository has yet; raises Failure."""
    name = Name(text)
    if why := _flaw(name) or _holder(name, root):
        raise Failure(
            f"NAME={text} cannot be a new service's name" if text else "NAME is missing",
            why,
            "Nothing was changed. Choose another: make new-service NAME=order-archive",
            EX_CONFIG,
        )  # fmt: skip
    return name


def _flaw(name: Name) -> str:
    if not GRAMMAR.fullmatch(name.app) or len(name.app) > LONGEST:
        return (
            "A name is one word or several with hyphens, of small letters and digits, "
            f"and {LONGEST} characters at most."
        )
    if keyword.iskeyword(name.package):
        return f"{name.package} is a word of Python's own."
    return ""


def _holder(name: Name, root: Path) -> str:
    apps = {app["appID"] for app in _apps(root)}
    if name.app in RESERVED | apps:
        return f"{name.app} is in this system already."
    for folder in (f"services/{name.package}", f"tests/{name.package}"):
        if (root / folder).exists():
            return f"There is a folder {folder} already."
    return ""


def ports(root: Path) -> dict[str, int]:
    """Return the ports of a new service, which nothing of this repository has; raises Failure."""
    apps = [*_apps(root), yaml.safe_load((root / "gateway/app.yaml").read_text())]
    taken = {*runfile.PORTS.values(), *_taken(apps)}
    for number in range(MOST):
        found = {port: first + number for port, first in FIRST.items()}
        if taken.isdisjoint(found.values()):
            return found
    raise Failure(
        "There is no room for another service",
        f"The ports of {MOST} services lie between those of the system's other parts, and all are taken.",
        "Nothing was changed. Move some in toolchain/new_service/name.py and dapr.yaml.",
        EX_CONFIG,
    )


def _apps(root: Path) -> list[dict[str, Any]]:
    apps: list[dict[str, Any]] = yaml.safe_load((root / "dapr.yaml").read_text())[
        "apps"
    ]
    return apps


def _taken(apps: list[dict[str, Any]]) -> set[int]:
    declared = {app[port] for app in apps for port in FIRST if port in app}
    return declared | {port for app in apps for port in runfile.metrics_ports(app)}
