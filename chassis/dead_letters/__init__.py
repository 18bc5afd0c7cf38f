"""Dead letters, for those who run a service: pages, an API and a command line to edit, replay and discard them."""

from chassis.dead_letters.api import Letters
from chassis.dead_letters.erase import erase, find_letters
from chassis.dead_letters.pages import routers
from chassis.dead_letters.runner import Runner

__all__ = ["Letters", "Runner", "erase", "find_letters", "routers"]
