"""Dead letters, for those who run a service: an API and a command line to edit, replay and discard them."""

from chassis.dead_letters.api import Letters, router
from chassis.dead_letters.runner import Runner

__all__ = ["Letters", "Runner", "router"]
