"""Send what Schemathesis draws from the services' own descriptions: python -m verification.fuzz.api --seconds 300.

All phases, those that follow links among them, against each service directly: no server error, no answer that its
description does not have, and nothing accepted that it does not allow. `make fuzz` installs Schemathesis.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from toolchain.runfile import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = ".local/schemathesis/bin/st"
SERVICES = ("order", "notification")
STARTS_WITHIN = 120.0
OPTIONS = (
    *("--workers", "1", "--continue-on-failure", "--warnings", "off"),
    *("--suppress-health-check", "all", "--request-timeout", "30"),
    # No sidecar runs here, and without one a service is not ready.
    *("--exclude-path", "/readyz"),
    # Rules that JSON Schema cannot express refuse some of what it allows.
    *("--exclude-checks", "positive_data_acceptance"),
)


@contextmanager
def served(service: str, folder: Path) -> Iterator[str]:
    """Run a service with a database of its own; yield its address."""
    port = free_port()
    settings = {
        "DATABASE_URL": f"sqlite:///{folder}/{service}.db",
        "SECRETS_FOLDER": str(folder),
    }
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory"),
        *(f"services.{service}.app:create_app", "--host=127.0.0.1", f"--port={port}"),
        *(
            "--no-access-log",
            "--log-level=error",
            "--http=chassis.connection:Connection",
        ),
    ]
    with (folder / f"{service}.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
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


def main() -> int:
    """Run Schemathesis against both services; return 1 where it finds something."""
    parser = argparse.ArgumentParser(prog="python -m verification.fuzz.api")
    parser.add_argument("--seconds", type=int, default=300, help="for each service")
    seconds = parser.parse_args().seconds
    failed = 0
    for service in SERVICES:
        with tempfile.TemporaryDirectory() as folder:
            with served(service, Path(folder)) as address:
                command = [
                    str(ROOT / PROGRAM),
                    "run",
                    f"{address}/openapi.json",
                    *OPTIONS,
                ]
                limit = ["--max-time", str(seconds)]
                ended = subprocess.run([*command, *limit], cwd=folder, check=False)
            failed += ended.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
