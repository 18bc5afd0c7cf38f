"""Zipkin, a viewer of traces: fetched once with Maven, and started."""

import hashlib
import os
import urllib.request
from contextlib import suppress
from pathlib import Path

from toolchain.machine import Machine, find, processes, terminal
from toolchain.machine.failure import Failure
from toolchain.servers import kafka_jars
from toolchain.supervise import server
from toolchain.supervise.locks import made_once, remove
from toolchain.supervise.server import Server

VERSION = "3.5.1"
SHA256 = "7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d"
JAR = f"zipkin-server-{VERSION}-exec.jar"
MOST_SPANS = 100_000
"""Spans that it keeps, in memory; the oldest go."""


def provide(machine: Machine) -> Path:
    """Return Zipkin's jar; fetch it when the cache lacks it."""
    final = machine.cache / f"zipkin-{VERSION}"
    waiting = "another set-up is fetching it right now: waiting for that one"
    return (
        made_once(
            final,
            lambda: terminal.busy("Zipkin", waiting),
            lambda: _fetch(machine, final),
        )
        / JAR
    )


def _fetch(machine: Machine, final: Path) -> None:
    maven = find(machine, "mvn")
    if maven is None:
        raise Failure(
            "Zipkin could not be fetched",
            "It comes with Maven, and Maven (mvn) was not found here.",
            "Type: sudo apt-get install maven",
        )
    terminal.busy("Zipkin", "it is fetched with Maven: once, 131 MB, about a minute")
    half = final.with_suffix(".half")
    remove(half)
    artifact = f"io.zipkin:zipkin-server:{VERSION}:jar:exec"
    goal = f"-Dartifact={artifact}", f"-DoutputDirectory={half}"
    command = str(maven), "--batch-mode", "--no-transfer-progress", "dependency:copy"
    log = machine.cache / "logs" / "zipkin-maven.log"
    task = processes.Task((*command, *goal), machine.root, machine.environment, log)
    processes.carry_out(
        task,
        "Zipkin",
        "Zipkin could not be fetched",
        "Most often the network is the reason, or Maven's settings (a mirror, a proxy). Run it again.",
    )
    if hashlib.sha256((half / JAR).read_bytes()).hexdigest() != SHA256:
        remove(half)
        raise Failure(
            "Zipkin was fetched but is not put in place",
            "Its checksum is another one than toolchain/servers/zipkin.py names.",
            "Something between here and Maven's repository changes it. Run it again.",
        )
    os.sync()  # else a power cut could leave the final name with empty files
    half.replace(final)


def server_in(machine: Machine, folder: Path, port: int) -> Server:
    """Return how Zipkin is started at this port; raises Failure where there is no Java."""
    listen = {"ip": "127.0.0.1", "port": port, "protocols[0]": "http"}
    command = (
        *(str(kafka_jars.java(machine)), "-Xmx256m", "-XX:+UseSerialGC"),
        *("-XX:TieredStopAtLevel=1", "-jar", str(provide(machine))),
        *(f"--armeria.ports[0].{name}={value}" for name, value in listen.items()),
    )
    environment = server.bare_environment(folder)
    environment |= {"STORAGE_TYPE": "mem", "MEM_MAX_SPANS": str(MOST_SPANS)}
    return Server("Zipkin", folder, (command,), environment, lambda: is_up(port), _nothing)  # fmt: skip


def is_up(port: int) -> bool:
    """Return whether it takes and shows spans at this port."""
    url = f"http://127.0.0.1:{port}/health"
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _nothing() -> None:
    """Write nothing before a start: all of its settings are in the command."""
