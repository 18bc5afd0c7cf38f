"""What happens at a time of its own: clocks are set, and parts end, are paused, or have no room."""

import asyncio

from verification.simulation.process import Process
from verification.simulation.schedule import Fault
from verification.simulation.virtual_loop import VirtualLoop
from verification.simulation.world import World


async def inject(world: World) -> None:
    """Inject the faults of the schedule that have a time, each at its time."""
    loop = asyncio.get_running_loop()
    for fault in world.faults.timed():
        await asyncio.sleep(max(0.0, fault.at - loop.time()))
        world.note(str(fault))
        world.faults.comes(fault)
        _COMES[fault.what](world, fault, loop.time() + fault.size)


def _clock(world: World, fault: Fault, _until: float) -> None:
    world.skew[fault.act] += fault.size


def _sidecar(world: World, fault: Fault, until: float) -> None:
    world.sidecars.down_until[fault.act] = until
    if fault.act == "notification":
        world.broker.sidecar_down_until = until


def _stop(world: World, fault: Fault, _until: float) -> None:
    world.alive[fault.act].stopping.set()


def _disk(world: World, fault: Fault, until: float) -> None:
    world.disk_full_until[fault.act] = until


def _pause(world: World, fault: Fault, _until: float) -> None:
    process = world.alive[fault.act]
    process.is_paused = True
    asyncio.get_running_loop().call_later(fault.size, _resume, process)


def _resume(process: Process) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    process.is_paused = False
    loop.resume()


def _broker(world: World, fault: Fault, until: float) -> None:
    if fault.act == "wiped":
        world.broker.wipe()
        return
    world.broker.stands_still_until = until
    if fault.act == "down":
        world.sidecars.broker_down_until = until


_COMES = {
    "clock": _clock,
    "sidecar": _sidecar,
    "stop": _stop,
    "disk": _disk,
    "pause": _pause,
    "broker": _broker,
}
