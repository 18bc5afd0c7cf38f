"""Dead letters, for those who run a service: its API to list, replay and discard them, and a command line."""

from chassis.dead_letters.api import router

__all__ = ["router"]
