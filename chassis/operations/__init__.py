"""Operations: how a service is, for those who run it, as a page and as JSON."""

from collections.abc import Sequence

from chassis.http import Router
from chassis.operations.api import Observer, router
from chassis.operations.model import Tallies, Tally, no_tallies
from chassis.operations.page import pages
from chassis.operations.process import Watched
from chassis.operations.rates import Rates

__all__ = ["Observer", "Rates", "Tallies", "Tally", "Watched", "no_tallies", "routers"]


def routers(observe: Observer) -> Sequence[Router]:
    """Return the routes of a service that is looked at so: the API's and the page's."""
    return router(observe), pages(observe)
