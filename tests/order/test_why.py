"""Why an order is where it is: the cases that a running system shows only after a while, or rarely."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.dapr import Sidecar
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.journey import Handling, HeldLetter, StoredEvent
from chassis.outbox.outbox import State
from services.order.model import NotificationState
from services.order.notification_service import NotificationPart, Reply, ask
from services.order.pages.history import history
from services.order.pages.journey import find_remedy
from services.order.views.order_journey import describe
from services.order.views.order_overview import NotificationShown, OrderOverview
from services.order.views.why import Known, explain
from tests.support.carried import Carried

ORDER = UUID("01a20727-ad7d-7a6d-8ffc-e0698ef24ad8")
NOW = datetime(2026, 1, 31, 8, 15, 30, tzinfo=UTC)
JUST_NOW, LONG_AGO = NOW - timedelta(seconds=1), NOW - timedelta(seconds=60)
LETTER = HeldLetter(
    id=3, state=LetterState.OPEN, reason="no such order", received_at=NOW
)


def event(state: State, published_at: datetime | None = None, **more: Any) -> Any:  # noqa: ANN401 - columns
    """Return the order's event in the outbox."""
    values = {"attempt": 1, "refusals": 0, "reason": None, "due_at": None, **more}
    return StoredEvent(
        event_id="1",
        state=state,
        created_at=JUST_NOW,
        published_at=published_at,
        **values,
    )


def mail(state: str, **more: Any) -> Reply:  # noqa: ANN401 - columns
    """Return what the notification service says of a mail."""
    values = dict.fromkeys(("reason", "due_at", "sent_at", "released_at")) | more
    part = {"state": state, "channel": "email", "attempt": 1, **values}
    return Reply(notification=NotificationPart.model_validate(part))


def known(reply: Reply | None = None, **more: Any) -> Known:  # noqa: ANN401 - fields
    """Return what is known of an order that waits for its notification."""
    waiting = NotificationShown(
        state=NotificationState.WAITING, channel=None, at=None, reason=None
    )
    order = OrderOverview(
        order_id=ORDER,
        customer_name="Jane Doe",
        customer_email=None,
        created_at=JUST_NOW,
        erased_at=None,
        notification=waiting,
    )
    values = {"event": event(State.PUBLISHED, JUST_NOW), "oldest_open": None, **more}
    return Known(order=order, now=NOW, reply=reply or Reply(), **values)


SENT_NOW, SENT_BEFORE = (mail("SENT", sent_at=at) for at in (JUST_NOW, LONG_AGO))
HANDLED = Reply(received=Handling(handled_at=NOW))


@pytest.mark.parametrize(
    ("found", "why", "then"),
    [
        (known(SENT_NOW), "the order shows it soon", "nothing"),
        (
            known(SENT_BEFORE),
            "notified at 2026-01-31 08:14:30 UTC, and",
            "log of the order service",
        ),
        (
            known(SENT_NOW, showing=Handling(dead_letter=LETTER)),
            "the order cannot show it: no such order.",
            "python -m chassis.dead_letters order replay 3",
        ),
        (known(mail("READY", due_at=JUST_NOW)), "is being sent", "nothing"),
        (known(mail("SENDING")), "is being sent", "nothing"),
        (
            known(mail("READY", due_at=LONG_AGO)),
            "Its mail is due since 2026-01-31 08:14:30 UTC",
            "look for `dispatcher` in the log of the notification service",
        ),
        (known(HANDLED), "has no notification of it", "services.notification.rebuild"),
        (
            known(event=event(State.PUBLISHED, LONG_AGO)),
            "The broker has it since 2026-01-31 08:14:30 UTC, and has not delivered it",
            "look for `reconciler notify_customer`",
        ),
        (known(event=None), "is in the outbox no longer", "a database was restored"),
        (known(event=event(State.LEASED)), "is about to be published", "nothing"),
        (
            known(event=event(State.LEASED, attempt=2), oldest_open=LONG_AGO),
            "It waits for the broker, with every event since 2026-01-31 08:14:30 UTC",
            "see that the broker runs",
        ),
        (
            known(event=event(State.PENDING, attempt=0), oldest_open=LONG_AGO),
            "It waits for the broker",
            "see that the broker runs",
        ),
        (
            known(mail("DISCARDED", reason="discarded by Ada: a test")),
            "An operator decided that it is not sent: discarded by Ada: a test.",
            "nothing, unless a release",
        ),
        (
            known(event=event(State.PENDING, refusals=1, reason="no", due_at=NOW)),
            "The broker refuses its event: no; it is published again at 2026-01-31",
            "nothing: it is retried",
        ),
    ],
)
def test_each_case_says_why_and_what_to_do(found: Known, why: str, then: str) -> None:
    explanation = explain(found)

    assert why in explanation.why
    assert then in explanation.next


def test_what_a_broker_said_is_one_line_that_a_terminal_may_show() -> None:
    hostile = "no\nsuch\x1b[2J queue " + "x" * 5000
    refused = event(State.PENDING, refusals=1, reason=hostile)

    why = describe(known(event=refused)).why

    assert why.startswith("The broker refuses its event: no such\\x1b[2J queue xxx")
    assert why.isprintable()
    assert len(why) <= 1000


def test_an_event_that_became_a_dead_letter_is_not_called_handled() -> None:
    letter = Reply(received=Handling(handled_at=NOW, dead_letter=LETTER))

    said = [each.what for each in history(known(letter))]

    assert "OrderCreated is received: the broker delivered it." in said


@pytest.mark.parametrize(
    "refused",
    [
        "Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused",
        "rpc error: code = Canceled desc = grpc: the client connection is closing",
    ],
)
async def test_a_sidecar_that_takes_no_connection_is_named_and_not_its_app(
    refused: str,
) -> None:

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1.0/metadata":
            return httpx.Response(200, json={})
        failed = {"errorCode": "ERR_DIRECT_INVOKE", "message": refused}
        return httpx.Response(500, json=failed)

    wire = Carried(httpx.MockTransport(answer))
    async with Sidecar("http://sidecar", wire=wire) as sidecar:
        reply = await ask(sidecar, "a-secret", ORDER, None)

    assert reply.silence is not None
    assert reply.silence.part == "notification sidecar"


def test_an_order_that_is_sent_and_not_shown_leads_to_this_services_operations() -> (
    None
):
    found = find_remedy(known(SENT_BEFORE), describe(known(SENT_BEFORE)), "http://n/")

    assert found
    assert found.address == "../operations"


def test_what_is_on_its_way_for_long_says_until_when_to_wait() -> None:
    published = NOW - timedelta(seconds=20)

    found = explain(known(event=event(State.PUBLISHED, published)))

    assert found.why.startswith("It is on its way")
    assert found.next.startswith("wait until 2026-01-31 08:15:50 UTC")
