"""A primary and its standby, in containers: what was answered is on both, and there after a failover."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from chassis.database.engine import open_engine
from tests.support.eventually import within
from toolchain import containers
from toolchain.machine import this_machine
from verification.clusters.postgresql import Pair
from verification.clusters.stage import DATABASES, nodes_in

pytestmark = [
    pytest.mark.system,
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine needs root"),
]
PATIENCE = 60.0
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(name="pair", scope="module")
def running_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Start a primary and its standby, in a container each; nothing of them is left."""
    with containers.running(this_machine()) as engine:
        with nodes_in(tmp_path_factory.mktemp("pair"), "rabbitmq") as nodes:
            pair, name = Pair(nodes, DATABASES), nodes.stack.name
            pair.add()
            pair.start()
            yield pair
        for kind in ("container", "network", "volume"):
            assert name not in engine.docker(kind, "ls")


def test_what_a_pair_answered_is_there_after_a_failover(pair: Pair) -> None:
    _do(pair, "CREATE TABLE answered AS SELECT 1 AS number")
    pair.nodes.remove(pair.names[0])

    pair.promote()

    assert _do(pair, "SELECT number FROM answered") == [(1,)]
    pair.start_standby()
    assert pair.is_whole()


def test_no_commit_is_answered_while_the_standby_is_cut_off(pair: Pair) -> None:
    _do(pair, "CREATE TABLE late (number int)")
    standby = pair.names[1]
    pair.nodes.cut(standby)
    with ThreadPoolExecutor() as threads:
        written = threads.submit(_do, pair, "INSERT INTO late VALUES (1)")
        within(PATIENCE, lambda: _do(pair, WAITS) == [(1,)], "the commit waits")

        pair.nodes.join(standby)

        written.result(PATIENCE)
    within(PATIENCE, pair.is_whole, "the standby has all again")


def _do(pair: Pair, statement: str) -> list[tuple[object, ...]]:
    """Run a statement as the order service does: on whichever server is the primary."""
    engine = open_engine(pair.url("order", from_here=True))
    try:
        with engine.begin() as primary:
            asked = primary.execute(text(statement))
            return [tuple(row) for row in asked] if asked.returns_rows else []
    finally:
        engine.dispose()
