"""Each fault by itself: it happens, and it harms nobody."""

import asyncio
from unittest.mock import patch

import httpx
import pytest
from starlette.types import Scope

from tests.support.in_process import InProcess
from verification.simulation.chance import Chance
from verification.simulation.process import Answer, Died, Process
from verification.simulation.profiles import PROFILES
from verification.simulation.run import Result, run
from verification.simulation.schedule import TIMED, Fault, Schedule
from verification.simulation.sidecars import Address
from verification.simulation.virtual_loop import VirtualLoop, owner

KINDS = {
    (what, act)
    for profile in PROFILES.values()
    for what, acts in profile.faults.items()
    for act in acts
}
REQUEST = httpx.Request("POST", "http://app/events/OrderCreated")
FORGED = Fault("message", "forge the source", 1)


def alone(*faults: Fault) -> Result:
    return run(Schedule(1, "kafka", 3, faults))


def made(what: str, act: str) -> Fault:
    if what == "clock":
        service, direction = act.split()
        step = -3600.0 if direction == "back" else 3600.0
        return Fault(what, service, 2.0, step)
    size = 70.0 if what == "pause" else 20.0
    return Fault(what, act, 2.0, size) if what in TIMED else Fault(what, act, 1)


@pytest.mark.parametrize("what", sorted({what for what, _ in KINDS}))
def test_each_fault_happens_and_harms_nobody(what: str) -> None:
    for act in sorted(act for kind, act in KINDS if kind == what):
        fault = made(what, act)
        result = alone(fault)

        assert result.counted[fault.kind] == 1, f"{fault} did not happen"
        assert result.violations == [], str(fault)


def test_a_service_that_was_paused_for_long_answers_all_who_asked_meanwhile() -> None:
    pause = Fault("pause", "notification", 5.92, 125.0)

    assert run(Schedule(519458, "rabbitmq", 4, (pause,))).violations == []


def test_a_forgery_that_is_acknowledged_and_not_kept_is_found() -> None:
    def nothing_is_kept(*_: object) -> None: ...

    with patch("chassis.inbox.inbox.store", nothing_is_kept):
        found = alone(FORGED).violations

    assert [each.endswith("is no dead letter") for each in found] == [True]


def test_a_forgery_that_is_handled_in_place_of_the_authentic_event_is_found() -> None:
    def is_authentic(*_: object) -> bool:
        return True

    with patch("chassis.signature.SigningKeys.verify", is_authentic):
        found = alone(Fault("message", "alter", 1)).violations

    assert {"lost", "mixed up"} <= {each.partition(":")[0] for each in found}


class Dying(Process):
    async def ask(self, scope: Scope, body: bytes = b"") -> Answer:
        raise Died


async def test_what_a_service_dies_of_is_not_delivered_and_is_answered_with_200() -> (
    None
):
    address = Address(lambda: Dying("it", Chance(0, "it"), float, never, quiet))

    with pytest.raises(httpx.ReadError):
        await InProcess(address.strict).handle_async_request(REQUEST)
    answer = await InProcess(address).handle_async_request(REQUEST)

    assert (answer.status_code, answer.content) == (200, b"")


def never(_process: Process, _where: str) -> bool:
    return False


def quiet(_process: Process, _what: str) -> str:
    return ""


def test_what_is_paused_does_nothing_until_it_resumes_and_then_all_that_is_due() -> (
    None
):
    class Paused:
        dead, is_paused = False, True

        async def pause(self) -> None: ...

    done: list[float] = []
    loop, process = VirtualLoop(), Paused()

    async def count() -> None:
        owner.set(process)
        await asyncio.sleep(1.0)
        done.append(loop.time())

    def resume() -> None:
        process.is_paused = False
        loop.resume()

    async def both() -> None:
        counting = asyncio.create_task(count())
        loop.call_later(60.0, resume)
        await counting

    loop.run_until_complete(both())
    loop.clear()

    assert done == [60.0]


def test_what_is_handed_to_a_thread_takes_virtual_time_and_outlives_its_caller() -> (
    None
):
    loop, done = VirtualLoop(), list[float]()

    async def work_is_cancelled() -> None:
        owner.set(Process("it", Chance(0, "it"), float, never, quiet))
        work = asyncio.create_task(asyncio.to_thread(lambda: done.append(loop.time())))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.sleep(1.0)
        assert work.cancelled()

    loop.run_until_complete(work_is_cancelled())
    loop.clear()

    assert [0 < each < 1 for each in done] == [True]


def test_nothing_follows_a_crash_in_the_middle_of_synchronous_code() -> None:
    loop, followed = VirtualLoop(), list[str]()
    process = Process("it", Chance(0, "it"), float, lambda *_: True, quiet)

    def work() -> None:
        try:
            process.crash_point("in the middle")
        finally:
            assert process.dead
        followed.append("the work")

    async def call() -> None:
        owner.set(process)
        await asyncio.to_thread(work)
        followed.append("its caller")

    async def both() -> None:
        asyncio.create_task(call())  # noqa: RUF006 - it never ends
        await process.ended.wait()
        await asyncio.sleep(1.0)

    loop.run_until_complete(both())
    loop.clear()

    assert followed == []
