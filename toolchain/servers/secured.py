"""A secure run: fresh tokens for each app and its sidecar, and sentry, which certifies the sidecars."""

import base64
import hmac
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import yaml

from toolchain.dapr import build
from toolchain.dapr.programs import SENTRY
from toolchain.machine import Machine, network
from toolchain.runfile import System
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer, Server

AUDIENCE = "spiffe://localhost/ns/default/dapr-sentry"
"""Sentry's own name, as a sidecar outside of Kubernetes expects it."""
KEY_ID = "run"


@contextmanager
def secrets_of(system: System) -> Iterator[None]:
    """Make the secrets of a secure run, and remove them at its end."""
    if not system.secure:
        yield
        return
    folder = system.secrets
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(mode=0o700, parents=True)
    try:
        make(folder, [app["appID"] for app in system.document["apps"]])
        yield
    finally:
        shutil.rmtree(folder)


def sentry(
    machine: Machine, system: System
) -> AbstractContextManager[RunningServer | None]:
    """Run sentry for a secure run."""
    return (
        server.running(sentry_of(machine, system)) if system.secure else nullcontext()
    )


def sentry_of(machine: Machine, system: System) -> Server:
    """Return how the sentry of a secure run is started."""
    ports = system.port("sentry"), system.port("sentry health")
    return sentry_in(machine, system.secrets / "sentry", *ports)


def make(folder: Path, apps: list[str]) -> None:
    """Write the secrets of each app, and the key by which sentry knows its sidecar's."""
    key = secrets.token_bytes(32)
    for app in apps:
        names = ("APP_API_TOKEN", "DAPR_API_TOKEN")
        lines = (f"{name}={secrets.token_urlsafe(32)}\n" for name in names)
        _write(folder / f"{app}.env", "".join(lines))
        _write(folder / f"{app}.jwt", _signed(key, app))
    own = folder / "sentry"
    own.mkdir(mode=0o700)
    jwk = {"kty": "oct", "alg": "HS256", "kid": KEY_ID, "k": _base64(key)}
    _write(own / "callers.json", json.dumps({"keys": [jwk]}))
    options = {"source": str(own / "callers.json")}
    validators = [{"name": "jwks", "options": options}]
    mtls = {"enabled": True, "tokenValidators": validators}
    configuration = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "sentry"},
        "spec": {"mtls": mtls},
    }
    _write(own / "sentry.yaml", yaml.safe_dump(configuration))


def sentry_in(machine: Machine, folder: Path, port: int, health: int) -> Server:
    """Return how sentry is started; it makes its root certificate in this folder."""
    command = (
        str(build.provide(machine, SENTRY)),
        f"--config={folder / 'sentry.yaml'}",
        f"--issuer-credentials={folder}",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        f"--healthz-port={health}",
        "--healthz-listen-address=127.0.0.1",
        "--enable-metrics=false",
        "--log-level=warn",
    )
    question = b"GET /healthz HTTP/1.1\r\nhost: sentry\r\nconnection: close\r\n\r\n"

    def serves() -> bool:
        answer = network.ask(("127.0.0.1", health), question, size=12) or b""
        return answer.endswith(b" 200")

    environment = server.bare_environment(folder)
    return Server("Sentry", folder, (command,), environment, serves, lambda: None)


def _write(file: Path, text: str) -> None:
    # For whoever runs it alone, from the beginning.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(file, flags, 0o600), "w") as opened:
        opened.write(text)


def _signed(key: bytes, app: str) -> str:
    """Return a JSON Web Token that says to sentry which app's sidecar shows it."""
    header = {"alg": "HS256", "typ": "JWT", "kid": KEY_ID}
    claims = {"aud": [AUDIENCE], "sub": f"spiffe://public/ns/default/{app}"}
    signed = ".".join(_base64(json.dumps(each).encode()) for each in (header, claims))
    mac = hmac.digest(key, signed.encode(), "sha256")
    return f"{signed}.{_base64(mac)}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
