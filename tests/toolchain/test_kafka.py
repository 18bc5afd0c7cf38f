"""Where Kafka comes from: the one that runs, else jars that Maven fetches, checked; and what it needs."""

import hashlib
import signal
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, calls, elsewhere, stand_in, until
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.runfile import free_port
from toolchain.servers import kafka, kafka_jars

JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""
OUTPUT = 'for word; do case $word in -DoutputDirectory=*) to=${word#*=} ;; esac; done\nmkdir -p "$to"\n'


def machine_with_port(folder: Path, port: int | None = None) -> Machine:
    """A bare machine whose broker is configured on that port, or on one where nothing listens."""
    return bare_machine(folder, KAFKA_BROKERS=f"127.0.0.1:{port or free_port()}")


def wants(machine: Machine, **jars: str) -> None:
    """Pin these jars: their names, and what is in them."""
    lines = [
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}.jar\n"
        for name, text in jars.items()
    ]
    (machine.root / "toolchain" / "servers" / "kafka" / "jars.sha256").write_text(
        "".join(lines)
    )


def maven_that(folder: Path, *commands: str) -> None:
    """A Maven that does this where the jars are to be put."""
    stand_in(folder, "mvn", OUTPUT + "\n".join(commands))


def cached(machine: Machine) -> list[str]:
    """What the cache has of Kafka, without locks."""
    found = machine.cache.glob("kafka-*")
    return sorted(path.suffix for path in found if path.suffix != ".lock")


def test_its_jars_are_fetched_once(tmp_path: Path) -> None:
    machine = machine_with_port(tmp_path)
    wants(machine, one="1", two="2")
    stand_in(tmp_path, "java", JAVA_17)
    maven_that(tmp_path, 'printf 1 >"$to/one.jar"', 'printf 2 >"$to/two.jar"')

    kafka.PRODUCT.prepare(machine)
    kafka.PRODUCT.prepare(machine)

    assert len(calls(tmp_path, "mvn")) == 1
    jars = kafka_jars.provide(machine)
    assert sorted(jar.name for jar in jars.iterdir()) == ["one.jar", "two.jar"]
    assert cached(machine) == [""]


@pytest.mark.parametrize(
    "commands",
    [["printf x >$to/one.jar"], ["printf 1 >$to/one.jar", "touch $to/two.jar"], []],
    ids=["another", "one too many", "none"],
)
def test_jars_that_are_not_the_pinned_ones_are_not_put_in_place(
    commands: list[str], tmp_path: Path
) -> None:
    machine = machine_with_port(tmp_path)
    wants(machine, one="1")
    maven_that(tmp_path, *commands)

    with pytest.raises(Failure, match=r"not put in place: Not what .*jars\.sha256"):
        kafka_jars.provide(machine)

    assert cached(machine) == []


def test_a_maven_that_fails_is_heard_and_leaves_nothing(tmp_path: Path) -> None:
    machine = machine_with_port(tmp_path)
    maven_that(tmp_path, 'echo "[ERROR] Could not transfer artifact"; exit 1')

    with pytest.raises(Failure, match="Could not transfer artifact") as failure:
        kafka_jars.provide(machine)

    assert "make run BROKER=redis" in failure.value.remedy
    assert cached(machine) == []


def test_a_fetch_that_was_interrupted_leaves_nothing_and_is_taken_up_again(
    tmp_path: Path,
) -> None:
    machine = machine_with_port(tmp_path)
    wants(machine, one="1")
    maven_that(tmp_path, 'printf 1 >"$to/one.jar"; touch "$RECORD/half"; sleep 60')
    with elsewhere("kafka_jars.provide(machine)", machine) as other:
        until((tmp_path / "half").exists)
        other.send_signal(signal.SIGINT)
        assert other.wait(60) == 130
    assert cached(machine) == []

    maven_that(tmp_path, 'printf 1 >"$to/one.jar"')
    kafka_jars.provide(machine)

    assert cached(machine) == [""]


def test_what_an_earlier_fetch_left_when_it_was_killed_is_not_used(
    tmp_path: Path,
) -> None:
    machine = machine_with_port(tmp_path)
    wants(machine, one="1")
    half = kafka_jars.place(machine).with_suffix(".half")
    half.mkdir(parents=True)
    (half / "left.jar").write_text("half of it")
    maven_that(tmp_path, 'printf 1 >"$to/one.jar"')

    jars = kafka_jars.provide(machine)

    assert [jar.name for jar in jars.iterdir()] == ["one.jar"]


@pytest.mark.parametrize(
    ("says", "number"), [("1.8.0_292", "8"), ("11.0.2", "11"), ("16", "16")]
)
def test_a_java_that_is_too_old_is_refused(
    says: str, number: str, tmp_path: Path
) -> None:
    stand_in(tmp_path, "java", f"""echo 'openjdk version "{says}"' >&2""")

    with pytest.raises(Failure, match=f"java is Java {number}"):
        kafka.PRODUCT.prepare(machine_with_port(tmp_path))


def test_java_home_goes_before_the_path(tmp_path: Path) -> None:
    stand_in(tmp_path, "java", """echo 'openjdk version "11"' >&2""")
    newer = stand_in(tmp_path / "newer", "bin/java", JAVA_17)
    machine = bare_machine(tmp_path / "it", JAVA_HOME=str(newer.parent.parent))

    assert kafka_jars.java(machine) == newer


def test_without_maven_what_to_do_is_said(tmp_path: Path) -> None:
    stand_in(tmp_path, "java", JAVA_17)

    with pytest.raises(Failure, match=r"\(mvn\) was not found") as failure:
        kafka.PRODUCT.prepare(machine_with_port(tmp_path))

    for way in ("apt-get install maven", "KAFKA_BROKERS", "BROKER=redis"):
        assert way in failure.value.remedy
