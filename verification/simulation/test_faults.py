"""Each fault by itself: it comes, and it harms nobody."""

import asyncio
from unittest.mock import patch

import httpx
import pytest
from starlette.types import Scope

from tests.support.in_process import InProcess
from verification.simulation.chance import Chance
from verification.simulation.forgeries import CONTENT
from verification.simulation.process import Answer, Died, Process
from verification.simulation.profiles import PROFILES
from verification.simulation.run import Result, run
from verification.simulation.schedule import TIMED, Fault, Schedule
from verification.simulation.sidecars import Door
from verification.simulation.virtual_loop import VirtualLoop, owner

KINDS = {
    (what, act)
    for profile in PROFILES.values()
    for what, acts in profile.faults.items()
    for act in acts
    if act != CONTENT
}
REQUEST = httpx.Request("POST", "http://app/events/OrderCreated")
FORGED = Fault("message", "forge the source", 1)


def alone(*faults: Fault) -> Result:
    return run(Schedule(1, "kafka", 3, faults))


def made(what: str, act: str) -> Fault:
    if what == "clock":
        service, way = act.split()
        return Fault(what, service, 2.0, -3600.0 if way == "back" else 3600.0)
    size = 70.0 if what == "pause" else 20.0
    return Fault(what, act, 2.0, size) if what in TIMED else Fault(what, act, 1)


@pytest.mark.parametrize("what", sorted({what for what, _ in KINDS}))
def test_each_fault_comes_and_harms_nobody(what: str) -> None:
    for act in sorted(act for kind, act in KINDS if kind == what):
        fault = made(what, act)
        result = alone(fault)

        assert result.counted[fault.kind] == 1, f"{fault} did not come"
        assert result.violations == [], str(fault)


def test_a_service_that_stood_still_for_long_answers_all_who_asked_meanwhile() -> None:
    pause = Fault("pause", "notification", 5.92, 125.0)

    assert run(Schedule(519458, "rabbitmq", 4, (pause,))).violations == []


def test_a_forgery_that_is_acknowledged_and_not_kept_is_found() -> None:
    async def nothing_is_kept(*_: object) -> None: ...

    with patch("chassis.inbox.bury", nothing_is_kept):
        found = alone(FORGED).violations

    assert [each.endswith("is no dead letter") for each in found] == [True]


def test_a_forgery_that_takes_the_place_of_what_is_genuine_is_found() -> None:
    def nobody_looks(*_: object) -> None: ...

    with patch("chassis.delivered._check_origin", nobody_looks):
        found = alone(FORGED).violations

    assert [each.endswith("is no dead letter") for each in found] == [True]


class Dying(Process):
    async def asked(self, scope: Scope, body: bytes = b"") -> Answer:
        raise Died


async def test_what_a_service_dies_of_is_not_delivered_and_is_a_good_answer_to_others() -> (
    None
):
    door = Door(lambda: Dying("it", Chance(0, "it"), float, never, quiet))

    with pytest.raises(httpx.ReadError):
        await InProcess(door.strict).handle_async_request(REQUEST)
    answer = await InProcess(door).handle_async_request(REQUEST)

    assert (answer.status_code, answer.content) == (200, b"")


def never(_process: Process, _where: str) -> bool:
    return False


def quiet(_process: Process, _what: str) -> str:
    return ""


def test_what_is_held_does_nothing_until_it_goes_on_and_then_all_that_is_due() -> None:
    class Held:
        dead, is_held = False, True

    done: list[float] = []
    loop, process = VirtualLoop(), Held()

    async def count() -> None:
        owner.set(process)
        await asyncio.sleep(1.0)
        done.append(loop.time())

    def goes_on() -> None:
        process.is_held = False
        loop.go_on()

    async def both() -> None:
        counting = asyncio.create_task(count())
        loop.call_later(60.0, goes_on)
        await counting

    loop.run_until_complete(both())
    loop.clear()

    assert done == [60.0]
