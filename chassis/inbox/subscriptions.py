"""Which reactions subscribe to which topic: dapr-ext-fastapi's DaprApp, with what it lacks around it."""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI, Request

from chassis.event import Delivery
from chassis.http import FROM_THE_SIDECAR
from chassis.inbox.dead_letter import MAX_BODY, DeadLetter
from chassis.inbox.inbox import Inbox, Status, keep
from chassis.inbox.parse import too_large
from chassis.inbox.reaction import AnyReaction

MAX_WRAPPED = MAX_BODY * 4 // 3 + 4096
"""Bytes of such a body as base64, in an envelope of daprd's own."""
_WRAPPED = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/]+)')

Deliver = Callable[[Request], Awaitable[dict[str, str]]]
Reactions = Sequence[AnyReaction]


@dataclass
class Subscriptions:
    """The topics of one app: each delivery goes through the inbox to every reaction to its topic.

    `tuning` is the metadata of each subscription, from the broker's folder.
    """

    app: FastAPI
    inbox: Inbox
    pubsub: str
    tuning: dict[str, str]

    def subscribe(self, service: str, reactions: Reactions) -> frozenset[str]:
        """Subscribe to what is pushed; return the subscriptions as /readyz names them.

        What daprd cannot even read (bytes that are no JSON) it moves to the dead-letter topic; without one
        it would read it again for ever. That topic is subscribed to as well.
        """
        # Imported here: the SDK reads the environment when it is, and does not say what is wrong with it.
        from dapr.ext.fastapi import DaprApp  # noqa: PLC0415

        # Also without a subscription: it answers the sidecar's question for them.
        dapr = DaprApp(self.app, router_tags=[FROM_THE_SIDECAR])
        pushed = [
            each for each in reactions if each.event.delivery is Delivery.PUSH_AND_PULL
        ]
        if not pushed:
            return frozenset()
        dead = f"{service}-dead-letter"
        topics = _by_topic(pushed)
        for topic, of_topic in topics.items():
            self._subscribe(dapr, topic, self._handling(topic, of_topic), dead)
        self._subscribe(dapr, dead, self._burying(dead, topics), None)
        return frozenset(f"subscription to {topic}" for topic in (*topics, dead))

    def _subscribe(
        self,
        dapr: Any,  # noqa: ANN401 - untyped
        topic: str,
        deliver: Deliver,
        dead: str | None,
    ) -> None:
        raw = {} if dead else {"rawPayload": "true"}
        dapr.subscribe(
            self.pubsub,
            topic,
            metadata={**self.tuning, **raw},
            route=f"/events/{topic}",
            dead_letter_topic=dead,
        )(deliver)

    # The body is parsed by hand: FastAPI would refuse a bad one with 422, which Dapr retries for ever.
    def _handling(self, topic: str, reactions: Reactions) -> Deliver:
        async def deliver(request: Request) -> dict[str, str]:
            body, size = await _read(request, MAX_BODY)
            if size > MAX_BODY:
                return await self._refuse(topic, body, too_large(size), size)
            return {"status": await self._handle(reactions, body)}

        deliver.__name__ = f"handle_{topic}"
        return deliver

    async def _handle(self, reactions: Reactions, body: bytes) -> Status:
        # Each in a transaction of its own: a reaction that has handled the event does not handle it again.
        statuses = [await self.inbox.handle(each, body) for each in reactions]
        return Status.RETRY if Status.RETRY in statuses else Status.SUCCESS

    def _burying(self, topic: str, topics: dict[str, Reactions]) -> Deliver:
        async def deliver(request: Request) -> dict[str, str]:
            wrapped, size = await _read(request, MAX_WRAPPED)
            if size > MAX_WRAPPED:
                return await self._refuse(
                    topic, _beginning(wrapped), too_large(size), size
                )
            body = _unwrapped(wrapped)
            # First tried like any delivery: daprd also moves here what it was told to retry.
            if reactions := topics.get(str(_type_of(body))):
                return {"status": await self._handle(reactions, body)}
            return await self._refuse(topic, body, "no reaction subscribes to it")

        deliver.__name__ = "handle_dead_letter_topic"
        return deliver

    async def _refuse(
        self, topic: str, body: bytes, reason: str, size: int | None = None
    ) -> dict[str, str]:
        letter = DeadLetter(topic, body, reason, size=size, authentic=False)
        return {"status": await keep(self.inbox.database, letter)}


def _by_topic(reactions: Reactions) -> dict[str, Reactions]:
    def topic(reaction: AnyReaction) -> str:
        return str(reaction.event.topic())

    in_order = sorted(reactions, key=topic)
    return {name: list(each) for name, each in groupby(in_order, key=topic)}


async def _read(request: Request, most: int) -> tuple[bytes, int]:
    # What is more than that is counted and dropped, piece by piece: at the broker anybody may send anything.
    kept, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        kept += piece[: most - len(kept)]
    return bytes(kept), size


def _unwrapped(body: bytes) -> bytes:
    # With rawPayload, daprd puts the bytes as they were into an envelope of its own.
    try:
        return base64.b64decode(json.loads(body)["data_base64"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        return body


def _beginning(wrapped: bytes) -> bytes:
    # Of what is cut off in the middle of its base64, as much as is there.
    if found := _WRAPPED.search(wrapped):
        whole = len(found[1]) - len(found[1]) % 4
        return base64.b64decode(found[1][:whole])
    return wrapped


def _type_of(body: bytes) -> object:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event.get("type") if isinstance(event, dict) else None


def read_tuning(resource: Path | None) -> dict[str, str]:
    """Return the `metadata` of a SubscriptionTuning: what the broker's folder says of its subscriptions.

    A subscription in code silently replaces, for its topic, one that is declared for daprd; so what the folder
    says is passed on in code. Python knows no broker's settings.
    """
    if resource is None:
        return {}
    # The base loader leaves every value the text that it is: `true` stays true, as Dapr wants it.
    document: dict[str, Any] = yaml.load(resource.read_text(), yaml.BaseLoader)  # noqa: S506
    return dict(document.get("metadata") or {})
