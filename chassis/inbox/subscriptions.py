"""Which reactions subscribe to which topic: dapr-ext-fastapi's DaprApp, with what it lacks around it.

Events arrive in bulk (docs/decisions/0015): daprd collects what comes within some milliseconds, posts it at
once, and asks for a status for each entry. It posts again what has none, before anything else.
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from fastapi import FastAPI, Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)
from starlette.responses import JSONResponse

from chassis.event import Delivery
from chassis.http import FROM_THE_SIDECAR
from chassis.inbox.dead_letter import MAX_BODY, DeadLetter
from chassis.inbox.inbox import Inbox, Status, keep
from chassis.inbox.parse import Received, too_large
from chassis.inbox.reaction import AnyReaction
from chassis.runtime import telemetry
from chassis.runtime.settings import refuse

MAX_BULK = 512 * 1024
"""Bytes of a bulk delivery that are read: hundreds of events, or seven of the largest."""
MAX_WRAPPED = MAX_BODY * 4 // 3 + 4096
"""Bytes of a body as base64, in an envelope of daprd's own."""
_WRAPPED = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/]+)')
# As Go writes an entry. In an event of ours there is nothing like it, and in a text quotes are escaped.
_ENTRY = re.compile(r'\{"entryId":"([^"\\]+)","event":')
_decoder = json.JSONDecoder()

Deliver = Callable[[Request], Awaitable[JSONResponse]]
Reactions = Sequence[AnyReaction]


class _Bulk(BaseModel):
    most: PositiveInt = Field(alias="maxMessagesCount")
    milliseconds: NonNegativeInt = Field(alias="maxAwaitDurationMs")


class _SubscriptionTuning(BaseModel):
    kind: Literal["SubscriptionTuning"]
    metadata: Annotated[dict[str, str], BeforeValidator(lambda it: it or {})] = {}
    bulk: _Bulk = Field(alias="bulkSubscribe")


@dataclass(frozen=True)
class Tuning:
    """What the broker's folder says of its subscriptions: their metadata, and how large a bulk becomes.

    A bulk is delivered once it has `most` events or its first has waited for `milliseconds`.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    most: int = 100
    milliseconds: int = 1

    @classmethod
    def read(cls, resource: Path | None) -> "Tuning":
        """Read a SubscriptionTuning; a wrong one ends the process with a sentence.

        A subscription in code silently replaces, for its topic, one that is declared for daprd; so what the
        folder says is passed on in code. Python knows no broker's settings.
        """
        if resource is None:
            return cls()
        try:
            found = _read_tuning(resource)
        except ValueError as error:
            refuse("SUBSCRIPTION_FILE", str(error), resource)
        return cls(found.metadata, found.bulk.most, found.bulk.milliseconds)


def _read_tuning(resource: Path) -> _SubscriptionTuning:
    """Return what the file holds; raises ValueError with what is wrong."""
    try:
        # The base loader leaves every value the text that it is: `true` stays true, as Dapr wants it.
        document = yaml.load(resource.read_text(), yaml.BaseLoader)  # noqa: S506 - it makes texts, lists and mappings alone
        return _SubscriptionTuning.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        said = f"{field}: {fault['msg']}" if field else "it holds no mapping"
        raise ValueError(f"a `kind: SubscriptionTuning` is needed; {said}") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"it is no YAML: {why}") from error


@dataclass
class Subscriptions:
    """The topics of one app: each delivery goes through the inbox to every reaction to its topic."""

    app: FastAPI
    inbox: Inbox
    pubsub: str
    tuning: Tuning

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
            # The SDK's `subscribe` has no parameter for it.
            dapr._subscriptions[-1]["bulkSubscribe"] = {
                "enabled": True,
                "maxMessagesCount": self.tuning.most,
                "maxAwaitDurationMs": self.tuning.milliseconds,
            }
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
            metadata={**self.tuning.metadata, **raw},
            route=f"/events/{topic}",
            dead_letter_topic=dead,
        )(deliver)

    # The body is parsed by hand: FastAPI would refuse a bad one with 422, which Dapr retries for ever.
    def _handling(self, topic: str, reactions: Reactions) -> Deliver:
        async def deliver(request: Request) -> JSONResponse:
            telemetry.delivery.set(request.headers.get("traceparent", ""))
            delivered = await _read(request, MAX_BULK)
            entries = _entries(*delivered, self.tuning.most)
            self.inbox.arrivals.note_pushed(topic, len(entries))
            statuses = await self._deliver_to_each(reactions, [*entries.values()])
            answers = zip(entries, statuses, strict=True)
            return JSONResponse(
                {"statuses": [{"entryId": e, "status": s} for e, s in answers]}
            )

        deliver.__name__ = f"handle_{topic}"
        return deliver

    async def _deliver_to_each(
        self, reactions: Reactions, events: Sequence[Received]
    ) -> list[Status]:
        # Each in a transaction of its own: a reaction that has handled an event does not handle it again.
        answers = [await self.inbox.deliver(each, events) for each in reactions]
        return [
            Status.RETRY if Status.RETRY in statuses else Status.SUCCESS
            for statuses in zip(*answers, strict=True)
        ]

    # Not in bulk: raw, each comes in an envelope of daprd's own.
    def _burying(self, topic: str, topics: dict[str, Reactions]) -> Deliver:
        async def deliver(request: Request) -> JSONResponse:
            telemetry.delivery.set(request.headers.get("traceparent", ""))
            wrapped, size = await _read(request, MAX_WRAPPED)
            self.inbox.arrivals.note_pushed(topic, 1)
            if size > MAX_WRAPPED:
                cut_off = Received(raw=_beginning(wrapped))
                return await self._refuse(topic, cut_off, too_large(size), size)
            received = Received.of_bytes(_unwrapped(wrapped))
            # First tried like any delivery: daprd also moves here what it was told to retry.
            if reactions := topics.get(received.type):
                (status,) = await self._deliver_to_each(reactions, [received])
                return JSONResponse({"status": status})
            return await self._refuse(topic, received, "no reaction subscribes to it")

        deliver.__name__ = "handle_dead_letter_topic"
        return deliver

    async def _refuse(
        self, topic: str, received: Received, reason: str, size: int | None = None
    ) -> JSONResponse:
        letter = DeadLetter(topic, received.body, reason, size=size, authentic=False)
        return JSONResponse({"status": await keep(self.inbox.database, letter)})


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


def _entries(body: bytes, size: int, most: int) -> dict[str, Received]:
    """Return the events of a bulk delivery by their entries, those that are no JSON too.

    Of what was too much to read, the last one is left for the next delivery, unless it is too large itself. So is
    what comes after `most`: within one that is nested too deeply, anything may look like thousands of them.
    """
    # Bytes that are no UTF-8 stay what they are, and their event is not authentic.
    text = body.decode(errors="surrogateescape")
    found: dict[str, Received] = {}
    head = _ENTRY.search(text)
    for _ in range(most):
        if not head:
            break
        begin = head.end()
        try:
            parsed, end = _decoder.raw_decode(text, begin)
            fault, after = "", _ENTRY.search(text, end)
        except (ValueError, RecursionError) as error:
            parsed, fault, after = None, str(error), _ENTRY.search(text, begin)
            end = after.start() if after else len(text)
            if size > len(body) and not after and end - begin <= MAX_BODY:
                break
        raw = text[begin:end].encode(errors="surrogateescape")
        found.setdefault(head[1], Received(parsed, raw, fault))
        head = after
    return found


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
