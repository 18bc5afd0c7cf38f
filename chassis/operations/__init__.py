"""Operations: how a service is, for those who run it, as a page and as JSON."""

from chassis.operations.api import observer, router
from chassis.operations.model import Tallies, Tally, no_tallies
from chassis.operations.process import Watched

__all__ = ["Tallies", "Tally", "Watched", "no_tallies", "observer", "router"]
