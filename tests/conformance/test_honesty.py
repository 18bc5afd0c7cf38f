"""Honesty: what the simulated sidecar cannot do as daprd does, it refuses to do at all."""

import httpx
import pytest
from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from services.notification import smtp
from tests.conformance.probe import BULK, PUBSUB, ROUTE, TOPIC, an_event
from tests.conformance.stage import simulated
from tests.support.mail_server import DROP
from tests.support.simulated_dapr import SimulatedDapr, Wire
from tests.support.simulated_delivery import Message


async def test_an_event_that_makes_daprd_die_is_not_accepted() -> None:
    async with simulated() as dapr:
        with pytest.raises(NotImplementedError, match="dies"):
            await dapr.publish(an_event(traceparent=7))


async def test_an_event_that_a_broker_would_drop_is_not_passed_over() -> None:
    async with simulated() as dapr:
        await dapr.publish(an_event(), topic="Unsubscribed")

        with pytest.raises(NotImplementedError, match="nobody subscribes"):
            await dapr.turn()


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b""])
async def test_what_daprd_reads_without_end_is_not_passed_over(body: bytes) -> None:
    async with simulated() as dapr:
        await dapr.put(TOPIC, body)

        with pytest.raises(NotImplementedError, match="without end"):
            await dapr.turn()


async def test_a_message_that_makes_daprd_die_is_not_delivered() -> None:
    async with simulated() as dapr:
        await dapr.put(TOPIC, b'{"traceid": 7}')

        with pytest.raises(NotImplementedError, match="dies"):
            await dapr.turn()


async def test_a_subscription_that_asks_for_more_is_not_served_like_any_other() -> None:
    dapr, app = SimulatedDapr(), FastAPI()
    subscribe = DaprApp(app).subscribe
    subscribe(PUBSUB, TOPIC, route=ROUTE, metadata={"rawPayload": "yes"})(lambda: None)
    dapr.queue.append(Message(TOPIC, b"{}"))

    with pytest.raises(NotImplementedError, match="rawPayload"):
        await dapr.deliver_to(app)


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=404),
        JSONResponse({"statuses": [{"entryId": "0", "status": "DROP"}]}),
    ],
    ids=["404", "DROP"],
)
async def test_a_bulk_delivery_is_not_answered_with_what_daprd_loses(
    answer: Response,
) -> None:
    async with simulated() as dapr:
        dapr.probe.bulk_answers.append(answer)
        await dapr.publish(an_event(), topic=BULK)

        with pytest.raises(NotImplementedError, match="daprd"):
            await dapr.turn()


@pytest.mark.parametrize(
    "more",
    [{"contentType": "application/json"}, {"metadata": {"ttlInSeconds": "1"}}],
    ids=["no CloudEvent", "metadata"],
)
async def test_an_entry_that_asks_for_more_is_not_accepted_like_any_other(
    more: dict[str, object],
) -> None:
    entry = {"entryId": "1", "contentType": "application/cloudevents+json", "event": {}}
    url = f"http://sidecar/v1.0/publish/bulk/{PUBSUB}/{TOPIC}"

    async with httpx.AsyncClient(transport=Wire(SimulatedDapr())) as client:
        with pytest.raises(NotImplementedError, match="entries"):
            await client.post(url, json=[entry | more])


@pytest.mark.parametrize(
    "metadata",
    [
        {"emailTo": "jane@example.com"},
        {"emailTo": "", "subject": "An order"},
        {"emailTo": "jane@example.com", "subject": "An order", "priority": "1"},
        {"emailTo": "jane@example.com;ada@example.com", "subject": "An order"},
        {"emailTo": "Jane Doe <jane@example.com>", "subject": "An order"},
        {"emailTo": "j\u00e4ne@example.com", "subject": "An order"},
        {"emailTo": "jane@example.com", "subject": "=?utf-8?q?no?="},
    ],
)
async def test_a_mail_that_daprd_would_send_otherwise_is_not_sent(
    metadata: dict[str, str],
) -> None:
    async with SimulatedDapr().sidecar() as sidecar:
        with pytest.raises(NotImplementedError):
            await smtp.send(sidecar, "email", "Hello", metadata)


async def test_a_server_that_daprd_would_dial_without_end_is_not_dialled() -> None:
    dapr = SimulatedDapr()
    dapr.bindings["email"].acts["MAIL"] = DROP
    metadata = {"emailTo": "jane@example.com", "subject": "An order"}

    async with dapr.sidecar() as sidecar:
        with pytest.raises(NotImplementedError, match="without end"):
            await smtp.send(sidecar, "email", "Hello", metadata)


async def test_an_invocation_that_is_no_get_is_not_carried() -> None:
    async with httpx.AsyncClient(transport=Wire(SimulatedDapr())) as client:
        with pytest.raises(NotImplementedError, match="other than GET"):
            await client.post("http://sidecar/v1.0/invoke/order/method/api/order")
