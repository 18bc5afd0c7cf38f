"""One order: how far it is, why it is not there yet and what to press, and all that has happened to it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from fastapi import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from chassis.http import Read
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.journey import Handling
from chassis.pages import PageRouter, fragment, page, watch
from services.order.pages.history import history
from services.order.views.order_journey import OrderJourney, describe, follow
from services.order.views.why import Known


@dataclass(frozen=True)
class Elsewhere:
    """Pages that an order's page leads to, where their addresses are set; `{trace_id}` stands for a trace's id."""

    trace: str | None = None
    notifications: str | None = None


@dataclass(frozen=True)
class Remedy:
    """A page on which what stands in an order's way is mended."""

    name: str
    address: str


def router(elsewhere: Elsewhere) -> PageRouter:
    """Return the routes of the page."""
    made = PageRouter(Path(__file__).parents[1] / "templates", scope="orders:read")

    @made.get("/orders/{orderId}")
    async def get_order_page(orderId: UUID, read: Read) -> Response:  # noqa: N803 - its name on the wire
        """Show an order's journey."""
        known = await follow(read, orderId)
        journey = _render(read, known, elsewhere)
        return page(read, "journey.html", order=known.order, journey=journey)

    @made.get("/live/{orderId}", response_class=EventSourceResponse)
    async def get_live_journey(
        orderId: UUID,  # noqa: N803 - its name on the wire
        read: Read,
    ) -> AsyncIterator[ServerSentEvent]:
        """Stream an order's journey."""
        async for each in watch(read, look, orderId):
            yield each

    async def look(read: Read, order_id: UUID) -> str:
        return _render(read, await follow(read, order_id), elsewhere)

    return made


def _render(read: Read, known: Known, elsewhere: Elsewhere) -> str:
    journey = describe(known)
    event = known.event
    trace = event.trace_id if event else None
    viewer = elsewhere.trace if event and event.is_traced else None
    linked = viewer and trace and viewer.replace("{trace_id}", trace)
    return fragment(
        read,
        "journey-live.html",
        order=known.order,
        journey=journey,
        next=next((s.name for s in journey.stages if not s.reached), None),
        trace=trace,
        is_traced=bool(event and event.is_traced),
        trace_address=linked,
        remedy=find_remedy(known, journey, elsewhere.notifications),
        history=history(known),
        now=known.now,
    )


def find_remedy(
    known: Known, journey: OrderJourney, notifications: str | None
) -> Remedy | None:
    """Return the page where somebody can do something about what an order waits for, if there is one."""
    if letter := _open(known.showing):
        return Remedy("Open the dead letter", f"../dead-letters/{letter}")
    is_here = journey.next.endswith("of the order service")
    if is_here or journey.blocked_by in {"order sidecar", "broker"}:
        return Remedy("Open Operations", "../operations")
    if notifications is None or journey.done:
        return None
    return _remedy_there(known, journey, notifications)


def _remedy_there(known: Known, journey: OrderJourney, there: str) -> Remedy | None:
    """Return the page of the notification service, where it is what stands in the way."""
    if letter := _open(known.reply.received):
        name = "Open its dead letter, to replay or discard it"
        return Remedy(name, f"{there}dead-letters/{letter}")
    state = (known.reply.notification or known.order.notification).state
    if state in {"HELD", "FAILED"}:
        address = f"{there}?order={known.order.order_id}"
        return Remedy("Open its notification, to release or discard it", address)
    if journey.blocked_by is None and journey.next.startswith("nothing"):
        return None
    # Where only its sidecar is away, that page says so; where the app is, it does not open.
    return Remedy("Open Operations of the notification service", f"{there}operations")


def _open(handling: Handling) -> int | None:
    letter = handling.dead_letter
    return letter.id if letter and letter.state is LetterState.OPEN else None
