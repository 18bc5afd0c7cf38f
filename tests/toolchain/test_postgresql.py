"""PostgreSQL as a server of the project's own: which programs, what is made once, and what becomes of it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.sockets import listening_at
from tests.toolchain.stand_ins import (
    bare_machine,
    calls,
    debian,
    elsewhere,
    program,
    until,
)
from toolchain import run, runfile
from toolchain.machine import Machine, this_machine
from toolchain.machine.failure import Failure
from toolchain.servers import companions, postgresql, postgresql_cluster
from toolchain.servers.broker import Broker
from toolchain.servers.postgresql_cluster import Cluster
from toolchain.supervise import server


def install(folder: Path, version: str, where: str = "") -> Path:
    """Put PostgreSQL's programs of a version on the machine that this folder is."""
    programs = folder / (where or f"system/usr/lib/postgresql/{version}/bin")
    for name in postgresql.NEEDED:
        program(programs / name, f"echo 'postgres (PostgreSQL) {version}'")
    return programs


def cluster_in(folder: Path) -> Cluster:
    """A cluster of the services', from the programs of this machine."""
    programs = postgresql.provided_programs(this_machine())
    return Cluster(folder, runfile.free_port(), programs, ("order", "notification"))


def asked(address: str, *statements: str) -> object:
    """Return the last statement's first value; each is a transaction of its own."""
    with psycopg.connect(address, autocommit=True) as connection:
        answer = [connection.execute(each.encode()) for each in statements][-1]
        row = answer.fetchone() if answer.description else None
        return row[0] if row else None


def processes_in(folder: Path) -> Iterator[int]:
    """Yield every process that works in this folder or below."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if (process / "cwd").readlink().is_relative_to(folder):
                yield int(process.name)


def test_the_newest_that_is_installed_is_used(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    install(tmp_path, "9.6")
    install(tmp_path, "14.3")
    newest = install(tmp_path, "16.1")

    assert postgresql.installed(machine) == newest


def test_one_on_the_path_is_found_too(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    programs = install(tmp_path, "17.0", "programs")

    assert postgresql.installed(machine) == programs


def test_one_that_is_too_old_is_as_good_as_none(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    install(tmp_path, "13.9")

    with pytest.raises(Failure, match="no PostgreSQL 14 or newer") as failure:
        postgresql.prepare(machine)

    for way in ("apt-get install postgresql", "DATABASE=sqlite"):
        assert way in failure.value.remedy


def machine_with_apt(folder: Path) -> Machine:
    """A Debian machine whose apt-get installs PostgreSQL 15."""
    programs = folder / "system/usr/lib/postgresql/15/bin"
    says = "printf '#!/bin/sh\\necho postgres 15.1\\n'"
    files = " ".join(str(programs / name) for name in postgresql.NEEDED)
    makes = f"mkdir -p {programs}; for each in {files}; do {says} >$each; chmod +x $each; done"
    debian(folder, makes)
    return bare_machine(folder)


def test_the_package_is_installed_and_its_own_service_does_not_start(
    tmp_path: Path,
) -> None:
    machine = machine_with_apt(tmp_path)

    postgresql.prepare(machine)

    assert calls(tmp_path, "apt-get")[-1].endswith("--no-install-recommends postgresql")
    assert calls(tmp_path, "systemctl") == ["disable postgresql.service"]


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    machine = machine_with_apt(tmp_path)
    install(tmp_path, "15.2")

    postgresql.prepare(machine)

    assert calls(tmp_path, "apt-get") == []


def test_each_service_has_a_database_that_no_other_can_enter(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path / "postgresql")
    with postgresql_cluster.running(cluster) as started:
        (pid,) = started.pids()
        assert listening_at(pid) == {"127.0.0.1"}
        own = runfile.postgresql_url("order", cluster.port)
        assert asked(own, "SELECT current_user || '@' || current_database()") == (
            "order@order"
        )
        safe = "SELECT current_setting('fsync') || current_setting('data_checksums')"
        assert asked(own, safe) == "onon"
        for role, database in (("order", "notification"), ("postgres", "postgres")):
            with pytest.raises(psycopg.Error, match="no pg_hba"):
                asked(runfile.postgresql_url(role, cluster.port, database), "SELECT 1")
        with pytest.raises(psycopg.Error, match=r"must be superuser|permission denied"):
            asked(own, "COPY (SELECT 1) TO PROGRAM 'true'")

    until(lambda: not list(processes_in(tmp_path)))


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path / "postgresql")
    own = runfile.postgresql_url("notification", cluster.port)
    with postgresql_cluster.running(cluster) as started:
        asked(own, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (7)")

        server.kill(started)
        server.keep(started)

        assert asked(own, "SELECT x FROM kept") == 7
    with postgresql_cluster.running(cluster):
        assert asked(own, "SELECT x FROM kept") == 7


def test_it_ends_when_the_program_that_started_it_is_killed(tmp_path: Path) -> None:
    """And in spite of clients that stay: they would keep one that is asked gently."""
    cluster = cluster_in(tmp_path / "postgresql")
    make = f"Cluster(Path('{cluster.folder}'), {cluster.port}, Path('{cluster.programs}'), ('order',))"
    held = f"(held := postgresql_cluster.running({make})).__enter__()"
    work = f"({held}, print('up'), signal.pause())"

    with elsewhere(work, this_machine()) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "up\n"
        with psycopg.connect(runfile.postgresql_url("order", cluster.port)) as staying:
            staying.execute("SELECT 1")
            parent.kill()
            until(lambda: not list(processes_in(tmp_path)))
            staying.close()


def test_an_interrupted_beginning_leaves_no_half_cluster(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path / "postgresql")
    half = cluster.folder / "data.123" / "base"
    half.mkdir(parents=True)

    with postgresql_cluster.running(cluster):
        assert asked(runfile.postgresql_url("order", cluster.port), "SELECT 1") == 1

    assert not half.parent.exists()


def test_a_cluster_that_cannot_be_made_says_why_and_is_not_there(
    tmp_path: Path,
) -> None:
    broken = program(tmp_path / "bin" / "initdb", "exit 1").parent
    cluster = Cluster(tmp_path / "postgresql", 1, broken)

    with pytest.raises(Failure, match="could not be made"):
        server.start(cluster.server())

    assert not cluster.data.exists()


def test_data_is_served_by_the_version_that_wrote_it(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    older = install(tmp_path, "15.2")
    install(tmp_path, "17.1")
    version = tmp_path / "postgresql" / "data" / "PG_VERSION"
    version.parent.mkdir(parents=True)
    version.write_text("15\n")

    assert postgresql.programs_for(tmp_path / "postgresql", machine) == older


def test_a_system_on_postgresql_gives_each_app_its_url(tmp_path: Path) -> None:
    system = runfile.load(1000, tmp_path, database="postgresql")

    assert not system.is_as_declared
    for name in ("order", "notification"):
        assert system.app(name)["env"]["DATABASE_URL"] == (
            f"postgresql://{name}@127.0.0.1:6442/{name}"
        )


def test_a_database_that_is_not_known_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE", "oracle")

    with pytest.raises(Failure, match="DATABASE=oracle cannot be used") as failure:
        run.chosen()

    assert "DATABASE=postgresql" in failure.value.remedy


def test_it_runs_beside_the_broker_and_is_kept_running(tmp_path: Path) -> None:
    offset = runfile.free_offset()
    system = runfile.load(offset, tmp_path, database="postgresql")
    machine = Machine(runfile.ROOT, {**os.environ, **system.addresses()})
    with companions.running(machine, system) as servers:
        own = system.app("order")["env"]["DATABASE_URL"]
        assert asked(own, "SELECT 1") == 1
        (started,) = [each for each in servers if each.server.name == "PostgreSQL"]
        os.kill(started.itself.pid, signal.SIGKILL)
        started.itself.wait()

        run.Provided(Broker("none", "not needed"), servers).keep()

        assert asked(own, "SELECT 1") == 1
