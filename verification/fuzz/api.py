"""Send what Schemathesis draws from the services' own descriptions: python -m verification.fuzz.api --seconds 60.

All phases, those that follow links among them, against each service in every way of WAYS: no server error, no
answer that its description does not have, and nothing accepted that it does not allow. `make fuzz` installs
Schemathesis.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from pathlib import Path
from types import MappingProxyType
from urllib.error import URLError
from urllib.request import urlopen

from chassis.http.idempotency import PARAMETER
from chassis.http.openapi import operations
from tests.support.door import BELOW, Door, guard, opened
from tests.support.sign_in import issuing, settings
from toolchain.issuer.tokens import Issuer
from toolchain.runfile import ROOT, free_port

PROGRAM = ROOT / ".local/schemathesis/bin/st"
SERVICES = ("order", "notification")
STARTS_WITHIN = 120.0
OPTIONS = (
    *("--workers", "1", "--continue-on-failure", "--warnings", "off"),
    *("--suppress-health-check", "all", "--request-timeout", "30"),
    # The tokens that it would hide end with the run; an Idempotency-Key is what one wants to see.
    *("--output-sanitize", "false"),
    # No sidecar runs here, and without one a service is not ready.
    *("--exclude-path", "/readyz"),
    # Rules that JSON Schema cannot express refuse some of what it allows.
    *("--exclude-checks", "positive_data_acceptance"),
)
SCOPES = ("orders:write", "orders:read", "notifications:read", "operate")
RATES = (("rate=100r/s", "rate=10000r/s"), ("rate=50r/s", "rate=10000r/s"))
"""What the gateway allows, and what Schemathesis needs."""
Target = list[str]
"""Where a service's description is, and the options by which Schemathesis reaches it."""


@contextmanager
def served(
    service: str, folder: Path, given: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Run a service with a database of its own and these settings; yield its address."""
    port = free_port()
    environment = {
        "DATABASE_URL": f"sqlite:///{folder}/{service}.db",
        "SECRETS_FOLDER": str(folder),
        **{name.upper(): each for name, each in given.items()},
    }
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory"),
        *(f"services.{service}.app:create_app", "--host=127.0.0.1", f"--port={port}"),
        *("--no-access-log", "--log-level=error"),
        "--http=chassis.connection:Connection",
    ]
    with (folder / f"{service}.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address: str) -> None:
    """Wait until a service answers; raises TimeoutError."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"{address} does not answer")


@asynccontextmanager
async def without_access_control(service: str, folder: Path) -> AsyncIterator[Target]:
    """Serve it as on loopback: everybody may do everything."""
    with served(service, folder) as address:
        yield [f"{address}/openapi.json"]


@asynccontextmanager
async def with_scopes(
    scopes: tuple[str, ...], service: str, folder: Path
) -> AsyncIterator[Target]:
    """Serve it with access control, to somebody whose token has these scopes."""
    with (
        issuing(folder, service) as issuer,
        served(service, folder, settings(issuer, service)) as address,
    ):
        yield [f"{address}/openapi.json", *_token(issuer, scopes)]


@asynccontextmanager
async def through_the_gateway(service: str, folder: Path) -> AsyncIterator[Target]:
    """Serve it with access control behind the gateway, to somebody who may do everything."""
    with ExitStack() as issuers:
        tokens: Target = []

        def prepare(door: Door) -> None:
            nginx = door.real.system.state / "gateway" / "nginx.conf"
            for before, after in RATES:
                nginx.write_text(nginx.read_text().replace(before, after))
            issuer = guard(door, issuers)[service]
            tokens.extend(_token(issuer, SCOPES))

        async with opened(folder, prepare) as door:
            certificate = str(folder / "gateway" / "certificate.pem")
            reached = ("--url", f"{door.url}{BELOW[service]}", *tokens)
            # Not public: tests/gateway asks for it in every spelling.
            private = ("--exclude-path", "/healthz", "--tls-verify", certificate)
            yield [_described_behind_the_gateway(door, service), *reached, *private]


class Found(Exception):
    """Schemathesis found what should not be, or could not run: its own words."""


def _described_behind_the_gateway(door: Door, service: str) -> str:
    """Return a file with the service's description, and what nginx does by itself (docs/gateway.md)."""
    address = f"http://127.0.0.1:{door.real.instances[service]['appPort']}/openapi.json"
    with urlopen(address, timeout=60) as answer:
        # It passes on no empty header.
        pattern = json.dumps(PARAMETER["schema"]["pattern"])
        text = (
            answer.read().decode().replace(pattern, pattern.replace('"^', '"^$|^', 1))
        )
    described = json.loads(text)
    for operation in operations(described):
        operation["responses"]["414"] = {"description": "The address is too long."}
    file = door.real.system.state / "openapi.json"
    file.write_text(json.dumps(described))
    # It answers 501 to methods that are unknown to it, and to TRACE.
    methods = '["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"]'
    own = f"[phases.coverage]\nunexpected-methods = {methods}\n"
    file.with_name("schemathesis.toml").write_text(own)
    return str(file)


Way = Callable[[str, Path], AbstractAsyncContextManager[Target]]
WAYS: dict[str, Way] = {
    "without access control": without_access_control,
    "with every scope": partial(with_scopes, SCOPES),
    "with no scope": partial(with_scopes, ("profile",)),
    "through the gateway": through_the_gateway,
}


def _token(issuer: Issuer, scopes: tuple[str, ...]) -> Target:
    token = issuer.access_token("olga", scopes)
    return ["--header", f"Authorization: Bearer {token}"]


async def ask(service: str, way: str, seconds: int) -> int:
    """Run Schemathesis against a service; print what it found, and return how many cases there were.

    Raises Found where one of them failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with WAYS[way](service, folder) as target:
            report = folder / "report.json"
            limits = ("--max-time", str(seconds), "--report-json-path", str(report))
            asked = await asyncio.create_subprocess_exec(
                *(str(PROGRAM), "run", *target, *OPTIONS, *limits),
                cwd=folder,
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await asked.communicate()
        if asked.returncode or not report.exists():
            raise Found(said.decode())
        number = int(json.loads(report.read_text())["test_cases"]["generated"])
    print(f"{service}, {way}: {number:,} cases, none of which failed", flush=True)
    return number


def main() -> int:
    """Run Schemathesis against both services in every way; return 1 where it finds something."""
    parser = argparse.ArgumentParser(prog="python -m verification.fuzz.api")
    seconds = "for each service, in each way"
    parser.add_argument("--seconds", type=int, default=60, help=seconds)
    parser.add_argument("--way", action="append", choices=WAYS, help="this one alone")
    options = parser.parse_args()
    number = failed = 0
    for way in options.way or WAYS:
        for service in SERVICES:
            try:
                number += asyncio.run(ask(service, way, options.seconds))
            except Found as found:
                print(f"{service}, {way}:\n{found}", flush=True)
                failed += 1
    print(f"{number:,} cases did not fail; runs with one that did: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
