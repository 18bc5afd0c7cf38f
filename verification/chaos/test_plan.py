"""The plan is the same for the same seed, and leaves no kind of fault out."""

from dataclasses import replace

import pytest

from verification.chaos import plan
from verification.chaos.plan import Setting

ABLE = Setting(clocks=True, disks=True)


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan.make(7, 50, ABLE) == plan.make(7, 50, ABLE)
    assert plan.make(7, 50, ABLE) != plan.make(8, 50, ABLE)


def test_the_ordinary_program_has_the_same_plan() -> None:
    assert plan.make(7, 50, ABLE) == plan.make(7, 50, replace(ABLE, ordinary=True))


@pytest.mark.parametrize("broker", ["rabbitmq", "redis", "kafka"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("replicas", [1, 3])
def test_a_long_plan_has_every_kind_of_fault(
    broker: str, database: str, replicas: int
) -> None:
    setting = replace(ABLE, broker=broker, database=database, replicas=replicas)
    possible = plan.kinds(setting)

    planned = plan.make(1, len(possible), setting)

    assert {(each.kind, each.part) for each in planned} == {*possible}
    assert len({*possible}) == len(possible)


def test_every_process_of_both_services_has_its_faults() -> None:
    setting = replace(ABLE, database="postgresql", replicas=2)

    killed = {part for kind, part in plan.kinds(setting) if kind == "kill"}

    apps = {"order", "order 2", "notification", "notification 2"}
    servers = {"broker", "mail", "database"}
    assert killed == apps | {f"{app} sidecar" for app in apps} | servers


def test_what_is_held_still_is_so_for_as_long_as_it_is_said() -> None:
    planned = plan.make(1, 60, replace(ABLE, still=60, longest=8))

    assert {each.seconds for each in planned if each.kind == "stop"} == {60}
    assert max(each.seconds for each in planned if each.kind != "stop") <= 8


def test_a_machine_that_lets_no_clock_be_set_and_no_disk_be_mounted_has_the_rest() -> (
    None
):
    able, unable = ({*plan.kinds(each)} for each in (ABLE, Setting()))

    assert {kind for kind, _ in able - unable} == {*plan.CLOCKS, "disk full"}


@pytest.mark.parametrize(
    ("only", "number"), [("kill", 6), ("order", 7), ("kill order", 1)]
)
def test_a_plan_can_be_limited(only: str, number: int) -> None:
    planned = plan.make(1, number, ABLE, [only])

    assert len({(each.kind, each.part) for each in planned}) == number
