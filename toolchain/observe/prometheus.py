"""Prometheus, which reads what the services measure: Debian's package, started here."""

from pathlib import Path
from typing import Any

import yaml

from toolchain.machine import Machine, apt, find, network
from toolchain.runfile import ROOT, System
from toolchain.supervise import server
from toolchain.supervise.server import Server

PACKAGE = "prometheus"
KEPT = "1d"


def server_in(machine: Machine, system: System, port: int) -> Server:
    """Return how Prometheus is started at this port; it is installed where that needs no password."""
    if not find(machine, "prometheus"):
        apt.provide(machine, PACKAGE, "Prometheus", "or look at the traces alone")
    folder = (system.state / "prometheus").absolute()
    command = (
        str(find(machine, "prometheus")),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={KEPT}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    return Server(
        "Prometheus",
        folder,
        (command,),
        server.bare_environment(folder),
        lambda: (
            network.ask(("127.0.0.1", port), b"GET /-/ready HTTP/1.0\r\n\r\n", size=12)
            or b""
        ).endswith(b" 200"),
        lambda: _configure(folder, system),
    )


def _configure(folder: Path, system: System) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration(system)))


def configuration(system: System) -> dict[str, Any]:
    """Return what it reads: each service of the system, every five seconds, and the rules of the repository."""
    apps = {
        app["appID"]: app.get("env", {}).get("METRICS_PORT")
        for app in system.document["apps"]
    }
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"service": app}}
        for app, port in apps.items()
        if port
    ]
    return {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(each) for each in sorted(ROOT.glob("observability/rules/*.yaml"))],
        "scrape_configs": [{"job_name": "services", "static_configs": targets}],
    }  # fmt: skip
