"""The app behind the sidecar in this suite: it records what is delivered, and answers what a test wants."""

import base64
import json
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import uvicorn
from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from tests.conformance import asked

PUBSUB, TOPIC, ROUTE = "pubsub", "Probed", "/events/Probed"
WATCHED, DEAD = "Watched", "probe-dead-letter"
"""A topic with a dead-letter topic, and that one, which is read raw."""
BULK, MOST = "Bulk", 20
"""A topic that is delivered in bulk, and how many events at once."""
TUNING = {"queueType": "quorum"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass(frozen=True)
class Delivery:
    """One delivery of an event: all of it, and the type that its bytes were declared to have."""

    event: dict[str, Any]
    content_type: str


@dataclass(frozen=True)
class Watched:
    """One delivery of whatever the broker had: its topic, its bytes, and their declared type."""

    topic: str
    body: bytes
    content_type: str


@dataclass(frozen=True)
class BulkDelivery:
    """One bulk delivery: all of it, its events by entry, and the type that its bytes were declared to have."""

    body: bytes
    entries: dict[str, Any]
    content_type: str


@dataclass
class Probe:
    """An app with four subscriptions; `answers` are the next ones to an event, and after them it is SUCCESS.

    `watched` is what was delivered on the topic with a dead-letter topic and on that one, in order, and
    `watched_answers` are the next answers by topic and bytes. `bulks` are the bulk deliveries; `statuses` are
    the next ones by event, where `""` is none at all, and `bulk_answers` what is answered in the place of them.
    """

    app: FastAPI = field(default_factory=FastAPI)
    deliveries: dict[str, list[Delivery]] = field(
        default_factory=lambda: defaultdict(list)
    )
    answers: dict[str, deque[Response]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    watched: list[Watched] = field(default_factory=list)
    watched_answers: dict[tuple[str, bytes], deque[Response]] = field(
        default_factory=lambda: defaultdict(deque)
    )

    bulks: list[BulkDelivery] = field(default_factory=list)
    statuses: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    bulk_answers: deque[Response] = field(default_factory=deque)

    def __post_init__(self) -> None:
        """Subscribe as chassis/inbox/subscriptions.py does."""
        dapr = DaprApp(self.app)
        subscribe = dapr.subscribe
        subscribe(PUBSUB, TOPIC, metadata=TUNING, route=ROUTE)(self._handle)
        subscribe(
            PUBSUB,
            WATCHED,
            metadata=TUNING,
            route=f"/events/{WATCHED}",
            dead_letter_topic=DEAD,
        )(self._watch)
        subscribe(
            PUBSUB,
            BULK,
            metadata=TUNING,
            route=f"/events/{BULK}",
            dead_letter_topic=DEAD,
        )(self._handle_bulk)
        dapr._subscriptions[-1]["bulkSubscribe"] = {
            "enabled": True,
            "maxMessagesCount": MOST,
            "maxAwaitDurationMs": 50,
        }
        raw = {**TUNING, "rawPayload": "true"}
        subscribe(PUBSUB, DEAD, metadata=raw, route=f"/events/{DEAD}")(self._watch)
        self.app.add_api_route("/healthz", self._is_alive)
        asked.add_routes(self.app)

    async def _handle(self, request: Request) -> Response:
        event = json.loads(await request.body())
        answers = self.answers[event["id"]]
        answer = answers.popleft() if answers else status("SUCCESS")
        delivery = Delivery(event, request.headers["content-type"])
        self.deliveries[event["id"]].append(delivery)
        return answer

    async def _handle_bulk(self, request: Request) -> Response:
        body = await request.body()
        entries = {e["entryId"]: e["event"] for e in json.loads(body)["entries"]}
        content_type = request.headers["content-type"]
        self.bulks.append(BulkDelivery(body, entries, content_type))
        if self.bulk_answers:
            return self.bulk_answers.popleft()
        given = {each: self._status(event) for each, event in entries.items()}
        answered = [{"entryId": e, "status": s} for e, s in given.items() if s]
        return JSONResponse({"statuses": answered})

    def _status(self, event: dict[str, Any]) -> str:
        left = self.statuses[event["id"]]
        return left.popleft() if left else "SUCCESS"

    async def _watch(self, request: Request) -> Response:
        topic, body = request.url.path.removeprefix("/events/"), await request.body()
        answers = self.watched_answers[
            topic, unwrapped(body) if topic == DEAD else body
        ]
        self.watched.append(Watched(topic, body, request.headers["content-type"]))
        return answers.popleft() if answers else status("SUCCESS")

    async def _is_alive(self) -> dict[str, str]:
        return {"status": "alive"}


def unwrapped(body: bytes) -> bytes:
    """Return the bytes that daprd has put into an envelope of its own."""
    return base64.b64decode(json.loads(body)["data_base64"], validate=True)


def status(name: str) -> Response:
    """Return an answer to a delivery with this status."""
    return JSONResponse({"status": name})


def an_event(**attributes: object) -> dict[str, Any]:
    """Return an event as the services send them, with these attributes changed."""
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/probe",
        "type": TOPIC,
        "subject": "5f8ac10b",
        "time": "2026-01-31T08:15:30.123Z",
        "datacontenttype": "application/json",
        "dataschema": f"urn:contract:{TOPIC}:1",
        "traceid": TRACE,
        "traceparent": TRACE,
        "correlationid": "5f8ac10b",
        "causationid": TRACE,
        "aggregateversion": 3,
        "data": {"customerName": "Jane Doe", "items": [{"price": 1.5}], "note": None},
        **attributes,
    }


@contextmanager
def served(app: FastAPI, port: int) -> Iterator[None]:
    """Serve an app on this port from a thread of its own: it answers whatever a test waits for."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_level="warning",
                # As dapr.yaml has it, and why.
                timeout_keep_alive=120,
            )
        )
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
