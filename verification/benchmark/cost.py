"""Measure what an order costs beside CPU time: bytes on disk, on the network and kept, commits and fsyncs.

python -m verification.benchmark.cost --publish writes docs/performance/cost.json: docs/scale.md reckons with it.
Ours alone, on RabbitMQ and PostgreSQL: two hundred orders a second first, then as many as eight customers place.
"""

import argparse
import asyncio
import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from verification.benchmark import machine, stage, tools
from verification.benchmark.contestants import entered
from verification.benchmark.load import Load
from verification.benchmark.measuring import Track, measure, opens
from verification.benchmark.stage import Running

PUBLISHED = stage.ROOT / "docs" / "performance" / "cost.json"
LOADS = (Load(20, rate=200), Load(10, clients=8))
STATISTICS_ARE_LATE = 2.0
"""Seconds; PostgreSQL writes a connection's figures down once a second at the most."""
SERVER = "SELECT wal_bytes, wal_sync FROM pg_stat_wal"
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
SIZES = """SELECT relname, pg_total_relation_size(oid) FROM pg_class
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
COUNT = re.compile(r"bytes_(?:sent|received):(\d+)")

Figures = dict[str, float]


def _databases(running: Running) -> Figures:
    """Read the server's own figures, and each table's size with its indexes."""
    found: Figures = {}
    for service in stage.SERVICES:
        url = str(running.real.instances[service]["env"]["DATABASE_URL"])
        with closing(psycopg.connect(url)) as connection:
            if not found:
                wal, syncs = connection.execute(SERVER).fetchall()[0]
                found = {"WAL bytes": float(wal), "WAL fsyncs": float(syncs)}
            ((commits,),) = connection.execute(COMMITS).fetchall()
            found[f"{service} commits"] = float(commits)
            for table, size in connection.execute(SIZES).fetchall():
                found[f"kept {service}.{table}"] = float(size)
    return found


def _disk(running: Running) -> Figures:
    """Read how many bytes the broker has had written to a disk.

    Of PostgreSQL the kernel counts a whole large folio for each page of the WAL: its own figures are taken.
    """
    found = 0
    for pid in machine.tree(running.pids["broker"]):
        with suppress(OSError):
            written = Path(f"/proc/{pid}/io").read_text().split("\nwrite_bytes: ")[1]
            found += int(written.split()[0])
    return {"disk broker": float(found)}


def _network(running: Running) -> Figures:
    """Read how many bytes have gone either way over the connections to each part that are open now."""
    system, found = running.real.system, Counter[str]()
    doors = {system.port("rabbitmq"): "broker", system.port("postgresql"): "database"}
    for service in stage.SERVICES:
        app = running.real.instances[service]
        doors[app["daprHTTPPort"]] = f"{service} sidecar"
        doors[app["appPort"]] = f"{service} app"
    command = ["ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        port = int(line.split()[3].rpartition(":")[2])
        if port in doors:
            found[f"network {doors[port]}"] += sum(map(int, COUNT.findall(line)))
    return {name: float(count) for name, count in found.items()}


def _figures(running: Running) -> Figures:
    return {**_databases(running), **_disk(running), **_network(running)}


async def _one(track: Track, load: Load) -> dict[str, Any]:
    before = await asyncio.to_thread(_figures, track.running)
    measured = await measure(track, load)
    await asyncio.sleep(STATISTICS_ARE_LATE)
    after = await asyncio.to_thread(_figures, track.running)
    orders = measured.accepted - measured.missing
    spent = {name: (after[name] - before.get(name, 0)) / orders for name in after}
    some = {name: round(each, 3) for name, each in sorted(spent.items()) if each > 0.01}
    return {
        "load": load.name,
        "orders": orders,
        "orders_per_second": measured.orders_per_second,
        "busy_elsewhere": measured.busy_elsewhere,
        "cpu_ms": measured.cpu_ms,
        "per_order": some,
    }


async def _run() -> list[dict[str, Any]]:
    with TemporaryDirectory(dir=stage.LOCAL) as folder:
        ours = entered("ours-postgresql")
        async with stage.running(Path(folder), ours, "rabbitmq") as running:
            track = Track(ours.name, running, tools.load_client(), by_rows=True)
            await opens(track)
            await measure(track, Load(3, clients=4))
            return [await _one(track, load) for load in LOADS]


def _shown(measured: Mapping[str, Any]) -> str:
    lines = (f"  {name:<34} {each:>10,.1f}" for name, each in measured["per_order"].items())  # fmt: skip
    return f"{measured['load']}, {measured['orders']:,} orders; each of them:\n{chr(10).join(lines)}"


def main() -> None:
    """Measure, print, and with --publish keep the figures."""
    parser = argparse.ArgumentParser(prog="verification.benchmark.cost")
    parser.add_argument("--publish", action="store_true", help="write them to docs")
    chosen = parser.parse_args()
    stage.LOCAL.mkdir(parents=True, exist_ok=True)
    setting, measured = machine.state(), asyncio.run(_run())
    print("\n".join(map(_shown, measured)))
    if chosen.publish:
        text = json.dumps({**setting, "measured": measured}, indent=1)
        PUBLISHED.write_text(text + "\n")


if __name__ == "__main__":
    main()
