"""Prometheus, which reads what the services measure: Debian's package, started here."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from toolchain.machine import Machine, apt, find, network, terminal
from toolchain.machine.failure import Failure
from toolchain.runfile import ROOT, System, metrics_ports
from toolchain.supervise import server
from toolchain.supervise.server import Server

NAME, PACKAGE = "Prometheus", "prometheus"
KEPT = "1d"
FOLDER = ROOT / "observability"
PACE = "5s"
"""Between two scrapes, and two evaluations of the rules; 15 s in observability/prometheus.yaml."""


def prepare(machine: Machine) -> None:
    """Install it where that can be done: the tests of the alert rules need its promtool, `make alerts` itself."""
    if not find(machine, "promtool") and apt.available(machine):
        with suppress(Failure):
            apt.install(machine, PACKAGE)
    if found := find(machine, "promtool"):
        terminal.done(NAME, f"for tests of the alert rules, {found}")
    else:
        terminal.warning(NAME, "it is not there; the alert rules are not tested")


def server_in(machine: Machine, system: System, port: int, pace: str = PACE) -> Server:
    """Return how Prometheus is started at this port; it is installed where that needs no password."""
    if not find(machine, "prometheus"):
        apt.provide(machine, PACKAGE, NAME, "or look at the traces alone")
    folder = (system.state / "prometheus").absolute()
    command = (
        str(find(machine, "prometheus")),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={KEPT}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    return Server(
        NAME,
        folder,
        (command,),
        server.bare_environment(folder),
        lambda: (
            network.ask(("127.0.0.1", port), b"GET /-/ready HTTP/1.0\r\n\r\n", size=12)
            or b""
        ).endswith(b" 200"),
        lambda: _configure(folder, configuration(system, pace)),
    )


def _configure(folder: Path, content: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(dict(content)))


def configuration(system: System, pace: str = PACE) -> dict[str, Any]:
    """Return what is in observability/prometheus.yaml, at another pace and for the ports of this system."""
    declared = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    jobs = [each["job_name"] for each in declared["scrape_configs"]]
    timing = ("scrape_interval", "evaluation_interval", "scrape_timeout")
    return {
        "global": dict.fromkeys(timing, pace),
        "rule_files": [str(FOLDER / each) for each in declared["rule_files"]],
        "scrape_configs": [
            {"job_name": job, "static_configs": [*_targets(system, job)]}
            for job in jobs
        ],
    }


def _targets(system: System, job: str) -> Iterator[dict[str, Any]]:
    for app in system.document["apps"]:
        own = [app["metricsPort"]] if "metricsPort" in app else []
        for port in own if job == "sidecars" else metrics_ports(app):
            labels = {"service": app["appID"]}
            yield {"targets": [f"127.0.0.1:{port}"], "labels": labels}
