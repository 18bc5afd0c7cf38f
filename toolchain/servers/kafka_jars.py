"""Kafka's programs: fetched once with Maven into the user's cache, checked, and only then put in place.

To change the version, edit kafka/pom.xml, let Maven copy the jars as _fetch does, and write the output of
`sha256sum *.jar` in that folder to kafka/jars.sha256.
"""

import hashlib
import os
import re
import subprocess
from pathlib import Path

from toolchain.machine import Machine, find, processes, terminal
from toolchain.machine.failure import Failure
from toolchain.supervise.locks import made_once, remove

JAVA_AT_LEAST = 17
INSTEAD = (
    "Or set KAFKA_BROKERS to a Kafka that runs (host:port),\n"
    "or take another broker: make run BROKER=redis"
)


def provide(machine: Machine) -> Path:
    """Return the folder with the jars; fetch them when the cache lacks it."""
    final = place(machine)
    waiting = "another set-up is fetching it right now: waiting for that one"
    return made_once(
        final,
        lambda: terminal.busy("Kafka", waiting),
        lambda: _fetch(machine, _maven(machine), final),
    )


def place(machine: Machine) -> Path:
    """Return where the cache keeps the jars: a folder named by all that decides what is in it."""
    recipe = [
        (_folder(machine) / name).read_bytes() for name in ("pom.xml", "jars.sha256")
    ]
    return machine.cache / f"kafka-{hashlib.sha256(b'|'.join(recipe)).hexdigest()[:10]}"


def java(machine: Machine) -> Path:
    """Return a Java that can run Kafka: JAVA_HOME's, else the one on the PATH."""
    home = machine.environment.get("JAVA_HOME")
    found = Path(home) / "bin" / "java" if home else find(machine, "java")
    version = _java_version(found) if found else None
    if found is None or version is None:
        raise _without_java("No Java that answers was found here.")
    if version < JAVA_AT_LEAST:
        raise _without_java(f"{found} is Java {version}.")
    return found


def _fetch(machine: Machine, maven: Path, final: Path) -> None:
    terminal.busy("Kafka", "its jars are fetched with Maven: once, 43 MB, about 15 s")
    half = final.with_suffix(".half")
    remove(half)
    try:
        _copy_with_maven(machine, maven, half)
        _check(machine, half)
        os.sync()  # else a power cut could leave the final name with empty files
        half.replace(final)
    finally:
        remove(half)


def _copy_with_maven(machine: Machine, maven: Path, half: Path) -> None:
    goal = (
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={half}",
    )
    command = (str(maven), "--batch-mode", "--no-transfer-progress", *goal)
    log = machine.cache / "logs" / "kafka-maven.log"
    task = processes.Task(command, _folder(machine), machine.environment, log)
    processes.carry_out(
        task,
        "Kafka",
        "Kafka could not be fetched",
        "Most often the network is the reason, or Maven's settings (a mirror, a proxy).\n"
        f"Run it again: what Maven has, it does not fetch again.\n{INSTEAD}",
    )


def _check(machine: Machine, half: Path) -> None:
    fetched = {
        jar.name: hashlib.sha256(jar.read_bytes()).hexdigest()
        for jar in half.glob("*.jar")
    }
    lines = (_folder(machine) / "jars.sha256").read_text().splitlines()
    wanted = {name: digest for digest, name in (line.split() for line in lines)}
    if wrong := dict(fetched.items() ^ wanted.items()):
        raise Failure(
            "Kafka was fetched but is not put in place",
            f"Not what toolchain/servers/kafka/jars.sha256 names: {', '.join(sorted(wrong))}",
            "Something between here and Maven's repository changes them (a mirror?), or what Maven keeps is\n"
            "damaged: remove org/apache/kafka from its folder (~/.m2/repository), then run it again.\n"
            + INSTEAD,
        )


def _maven(machine: Machine) -> Path:
    maven = find(machine, "mvn")
    if maven is None:
        raise Failure(
            "Kafka could not be fetched",
            "Its jars come with Maven, and Maven (mvn) was not found here.",
            f"Type: sudo apt-get install maven\n{INSTEAD}",
        )
    return maven


def _java_version(command: Path) -> int | None:
    try:
        answer = subprocess.run(
            [command, "-version"],
            capture_output=True,
            check=False,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else None


def _without_java(why: str) -> Failure:
    return Failure(
        "Kafka cannot run here",
        f"It needs Java {JAVA_AT_LEAST} or newer. {why}",
        "Type: sudo apt-get install default-jre-headless maven\n"
        f"or let JAVA_HOME name a newer one.\n{INSTEAD}",
    )


def _folder(machine: Machine) -> Path:
    return machine.root / "toolchain" / "servers" / "kafka"
