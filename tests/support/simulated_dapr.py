"""The simulated sidecar: the part of Dapr's HTTP API that the services use, with a broker behind it.

tests/conformance holds it against the real daprd: what it does, daprd does. Where it cannot do as daprd
does, it raises NotImplementedError. (`refused` alone is held against nothing: RabbitMQ refuses no one event.)
Deliveries, service invocation and bindings are in modules of their own beside this one.
"""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis.dapr.sidecar import Sidecar
from chassis.flaws import TESTED
from tests.support import (
    simulated_bindings,
    simulated_delivery,
    simulated_invocation,
    simulated_posting,
)
from tests.support.carried import Carried
from tests.support.in_process import InProcess
from tests.support.mail_api import MailApi
from tests.support.mail_server import Mailbox
from tests.support.simulated_delivery import CLOUD_EVENT, Message, as_go_reads, most

ANY = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LARGEST = simulated_bindings.LARGEST
"""Bytes that daprd reads of a request; what is longer ends for it in the middle of the JSON."""


@dataclass
class SimulatedDapr:
    """One broker, and for every app a sidecar in front of it, with knobs for what goes wrong.

    `pubsubs` are the components that lead to the broker, those in `down` have lost it, and `taken` has the ids
    that each published; `asked` are the paths of all calls, those that wait for `answering` too.
    `apps` are those that may be invoked, by app-id; `bindings` are the mailboxes behind the bindings, by name,
    and `apis` the mail APIs that are there in their place; `away` names those of all that do not run.
    """

    available: bool = True
    refused: set[str] = field(default_factory=set)
    published: list[dict[str, Any]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    queue: deque[Message] = field(default_factory=deque)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = True
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    pubsubs: list[str] = field(default_factory=lambda: ["pubsub"])
    down: set[str] = field(default_factory=set)
    taken: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    apps: dict[str, ASGIApp] = field(default_factory=dict)
    bindings: dict[str, Mailbox] = field(default_factory=lambda: {"email": Mailbox()})
    apis: dict[str, MailApi] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Answer at once, until a test clears `answering`."""
        self.answering.set()
        publish = "/v1.0/publish/bulk/{pubsub}/{topic}"
        routes = [
            Route(publish, self._publish, methods=["POST"]),
            Route("/v1.0/metadata", self._metadata),
            Route("/v1.0/bindings/{name}", self._send, methods=["POST"]),
            Route("/v1.0/invoke/{app_id}/method/{path:path}", self._ask, methods=ANY),
        ]
        self.app = Starlette(routes=routes)

    def sidecar(self, send_deadline: float = 30.0) -> Sidecar:
        """Return a service's client of this Dapr."""
        wire = Carried(Wire(self))
        return Sidecar("http://sidecar", send_deadline=send_deadline, wire=wire)

    async def deliver_to(self, app: FastAPI) -> list[str]:
        """Deliver what is in the queue to an app, once each; return its verdicts."""
        transport = InProcess(app, quiet=True)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://app"
        ) as client:
            listed = (await client.get("/dapr/subscribe")).json()
            subscribed = {each["topic"]: each for each in listed}
            self.subscriptions |= subscribed
            due, self.queue = self.queue, deque()
            verdicts: list[str] = []
            while due:
                verdicts += await self._deliver(client, subscribed, due)
            return verdicts

    async def _deliver(
        self,
        client: httpx.AsyncClient,
        subscribed: dict[str, dict[str, Any]],
        due: deque[Message],
    ) -> list[str]:
        topic = due[0].topic
        if topic not in subscribed:
            raise NotImplementedError(
                "a broker drops what nobody subscribes to; this one keeps it"
            )
        subscription = subscribed[topic]
        at_once = [due.popleft()]
        while due and due[0].topic == topic and len(at_once) < most(subscription):
            at_once.append(due.popleft())
        verdicts = await simulated_delivery.deliver(client, subscription, *at_once)
        for message, verdict in zip(at_once, verdicts, strict=True):
            if verdict == "RETRY":
                self.queue.append(message)
            elif verdict == "DROP" and (dead := subscription.get("deadLetterTopic")):
                self.queue.append(replace(message, topic=dead))
        return verdicts

    async def _publish(self, request: Request) -> Response:
        pubsub, topic = request.path_params["pubsub"], request.path_params["topic"]
        if pubsub not in self.pubsubs:
            said = f"pubsub {pubsub} is not found"
            wrong = {"errorCode": "ERR_PUBSUB_NOT_FOUND", "message": said}
            return JSONResponse(wrong, 404)
        try:
            events = _entries(await request.body())
        except ValueError as error:
            wrong = {"errorCode": "ERR_PUBSUB_EVENTS_SER", "message": str(error)}
            return JSONResponse(wrong, 400)
        if None in events.values():
            raise httpx.RemoteProtocolError("daprd panics, and closes the connection")
        if not all(isinstance(event, dict) for event in events.values()):
            return JSONResponse({"errorCode": "ERR_PUBSUB_CLOUD_EVENTS_SER"}, 500)
        added = {"topic": topic, "pubsubname": pubsub}
        envelopes = {each: _envelope(event) | added for each, event in events.items()}
        self.batches.append(len(events))
        failed = {
            each: why for each in events if (why := self._refusal(pubsub, events[each]))
        }
        self.taken.setdefault(pubsub, []).extend(events.keys() - failed.keys())
        self.published += [events[each] for each in events if each not in failed]
        self.queue += [
            Message(topic, json.dumps(envelopes[each], ensure_ascii=False).encode())
            for each in events
            if each not in failed
        ]
        return _failure(failed) if failed else Response(status_code=204)

    def _refusal(self, pubsub: str, event: dict[str, Any]) -> str | None:
        if not self.available or pubsub in self.down:
            return "channel not initialized"
        return "the broker refused it" if event.get("id") in self.refused else None

    async def _metadata(self, _request: Request) -> Response:
        kinds = dict.fromkeys(self.pubsubs, "pubsub.simulated")
        kinds |= dict.fromkeys(self.bindings, "bindings.smtp")
        kinds |= dict.fromkeys(self.apis, "bindings.http")
        loaded = [{"name": n, "type": t, "version": "v1"} for n, t in kinds.items()]
        listed = [_listed(each) for each in self.subscriptions.values()]
        # What is empty, daprd leaves out.
        subscriptions = {"subscriptions": listed} if listed else {}
        own = {"runtimeVersion": TESTED, "components": loaded}
        return JSONResponse({**own, **subscriptions})

    async def _send(self, request: Request) -> Response:
        name = request.path_params["name"]
        mailbox = self.bindings.get(name)
        is_down = name in self.away
        if api := self.apis.get(name):
            return await simulated_posting.post(request, api, is_down=is_down)
        return await simulated_bindings.create(request, mailbox, is_down=is_down)

    async def _ask(self, request: Request) -> Response:
        app_id = request.path_params["app_id"]
        app = self.apps.get(app_id)
        is_down = app_id in self.away
        return await simulated_invocation.invoke(request, app, is_down=is_down)


class Wire(InProcess):
    """The connection to a simulated sidecar, on which calls fail and wait as on a real one."""

    def __init__(self, dapr: SimulatedDapr) -> None:
        super().__init__(dapr.app)
        self._dapr = dapr

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request, unless the sidecar does not run; it waits while the sidecar does not answer."""
        if not self._dapr.running:
            raise httpx.ConnectError("connection refused", request=request)
        self._dapr.asked.append(request.url.path)
        await self._dapr.answering.wait()
        return await super().handle_async_request(request)


def _entries(body: bytes) -> dict[str, Any]:
    # What Python takes for a number beyond JSON, as NaN, makes int() raise ValueError.
    batch = json.loads(body[:LARGEST], parse_int=as_go_reads, parse_constant=int)
    if not isinstance(batch, list) or not all(isinstance(each, dict) for each in batch):
        raise ValueError("it is no list of entries")
    if any(each.keys() - {"entryId", "contentType", "event"} for each in batch):
        raise NotImplementedError("entries with metadata of their own")
    if any(each.get("contentType") != CLOUD_EVENT for each in batch):
        raise NotImplementedError("entries that are no CloudEvents")
    ids = [each.get("entryId") for each in batch]
    if len(set(ids)) < len(ids) or not all(
        isinstance(each, str) and each for each in ids
    ):
        raise ValueError("entryId is duplicated or not present for entry")
    return {each["entryId"]: each.get("event") for each in batch}


def _envelope(event: dict[str, Any]) -> dict[str, Any]:
    simulated_delivery.must_be_deliverable(event)
    traces = {} if "traceid" in event else {"traceid": "", "traceparent": ""}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    completed = {"time": now, "tracestate": "", **event, **traces}
    defaults = {"source": "Dapr", "type": "com.dapr.event.sent", "specversion": "1.0"}
    missing = {name for name in defaults if completed.get(name) is None}
    return completed | {name: defaults[name] for name in missing}


def _failure(failed: dict[str, str]) -> Response:
    entries = [{"entryId": each, "error": why} for each, why in failed.items()]
    answer = {"failedEntries": entries, "errorCode": "ERR_PUBSUB_PUBLISH_MESSAGE"}
    return JSONResponse(answer, 500)


def _listed(subscription: dict[str, Any]) -> dict[str, Any]:
    declared = {
        name: subscription[name] for name in ("pubsubname", "topic", "metadata")
    }
    rules = [{"path": subscription["route"]}]
    dead = {"deadLetterTopic": subscription.get("deadLetterTopic", "")}
    return declared | {"rules": rules, **dead, "type": "PROGRAMMATIC"}
