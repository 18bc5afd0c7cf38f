"""What a run on clusters stands on: its plan, and what a broker of Kafka is told."""

from verification.chaos import plan
from verification.chaos.plan import NODES, PAIR, Setting
from verification.clusters import kafka

SETTING = Setting(database="postgresql", replicas=4, clusters=True)


def test_a_long_plan_has_every_fault_of_every_node_and_each_failover() -> None:
    possible = plan.kinds(SETTING)

    planned = {(each.kind, each.part) for each in plan.make(1, len(possible), SETTING)}

    assert {("partition", each) for each in (*NODES, *PAIR)} <= planned
    assert {("fail over", "primary"), ("rolling restart", "broker")} <= planned
    assert {("kill", "order 4"), ("kill", "notification 4 sidecar")} <= planned
    assert ("partition", "notification 3") in planned


def test_two_of_three_brokers_of_kafka_have_an_event_before_it_is_answered() -> None:
    settings = kafka._settings(("a", "b", "c"), "b")

    assert settings["KAFKA_NODE_ID"] == "2"
    assert settings["KAFKA_DEFAULT_REPLICATION_FACTOR"] == "3"
    assert settings["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
