"""What a process needs before it is a service: loops, locks, the clock, ids, settings, telemetry."""

from chassis.runtime.ids import uuid7
from chassis.runtime.loop import Loop
from chassis.runtime.settings import ServiceSettings, load

__all__ = ["Loop", "ServiceSettings", "load", "uuid7"]
