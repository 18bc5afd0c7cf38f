"""Which reaction hears which topic: dapr-ext-fastapi's DaprApp, with what it lacks around it."""

import base64
import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI, Request

from chassis.database.unit_of_work import Database
from chassis.event import Way
from chassis.http.openapi import FROM_THE_SIDECAR
from chassis.inbox.dead_letter import LARGEST, Letter, bury
from chassis.inbox.inbox import AnyReaction, Status, take_in
from chassis.inbox.parse import too_large

_log = logging.getLogger(__name__)

LARGEST_WRAPPED = LARGEST * 4 // 3 + 4096
"""Bytes of an event of that size as base64, in an envelope of daprd's own."""
WRAPPED = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/]+)')

Deliver = Callable[[Request], Awaitable[dict[str, str]]]


class Subscriptions:
    """The topics of one app: each delivery goes through the inbox to the reaction that hears it."""

    def __init__(
        self, app: FastAPI, database: Database, pubsub: str, tuning: dict[str, str]
    ) -> None:
        # Imported here: the SDK reads the environment when it is, and does not say what is wrong with it.
        from dapr.ext.fastapi import DaprApp  # noqa: PLC0415

        self._dapr = DaprApp(app, router_tags=[FROM_THE_SIDECAR])
        self._database = database
        self._pubsub = pubsub
        self._tuning = tuning

    def hear(self, service: str, reactions: Sequence[AnyReaction]) -> frozenset[str]:
        """Subscribe to what is pushed; give the subscriptions as /readyz names them.

        What daprd cannot even read (bytes that are no JSON) it moves to the dead-letter topic; without one
        it would read it again for ever. That topic is heard too.
        """
        pushed = [each for each in reactions if each.event.way is Way.PUSHED]
        if not pushed:
            return frozenset()
        dead = f"{service}-dead-letter"
        for each in pushed:
            self._subscribe(each.event.topic(), self._taking_in(each), dead)
        self._subscribe(dead, self._burying(dead, pushed), None)
        topics = [each.event.topic() for each in pushed] + [dead]
        return frozenset(f"subscription to {topic}" for topic in topics)

    def _subscribe(self, topic: str, deliver: Deliver, dead: str | None) -> None:
        raw = {} if dead else {"rawPayload": "true"}
        self._dapr.subscribe(
            self._pubsub,
            topic,
            metadata={**self._tuning, **raw},
            route=f"/events/{topic}",
            dead_letter_topic=dead,
        )(deliver)

    # The body is parsed by hand: FastAPI would refuse a bad one with 422, which Dapr retries for ever.
    def _taking_in(self, reaction: AnyReaction) -> Deliver:
        async def deliver(request: Request) -> dict[str, str]:
            body, size = await _read(request, LARGEST)
            if size > LARGEST:
                letter = Letter(reaction.name, body, too_large(size), size=size)
                return {"status": await keep(self._database, letter)}
            return {"status": await take_in(self._database, reaction, body)}

        deliver.__name__ = reaction.name
        return deliver

    def _burying(self, topic: str, reactions: Sequence[AnyReaction]) -> Deliver:
        async def deliver(request: Request) -> dict[str, str]:
            wrapped, size = await _read(request, LARGEST_WRAPPED)
            if size > LARGEST_WRAPPED:
                body = _beginning(wrapped)
                letter = Letter(topic, body, too_large(size), size=size)
                return {"status": await keep(self._database, letter)}
            body = _unwrapped(wrapped)
            return {"status": await self._try_again(topic, reactions, body)}

        deliver.__name__ = "take_in_dead_letter"
        return deliver

    async def _try_again(
        self, topic: str, reactions: Sequence[AnyReaction], body: bytes
    ) -> Status:
        for reaction in reactions:
            if _type_of(body) == reaction.event.topic():
                return await take_in(self._database, reaction, body)
        letter = Letter(topic, body, "it is no event that is heard here")
        return await keep(self._database, letter)


async def keep(database: Database, letter: Letter) -> Status:
    """Keep as a dead letter what no reaction hears; RETRY where that fails."""
    try:
        async with database.write() as session:
            await bury(session, letter)
    except Exception:  # noqa: BLE001 - nothing is acknowledged that is not kept
        _log.exception("a dead letter of %s could not be kept", letter.reaction)
        return Status.RETRY
    return Status.SUCCESS


async def _read(request: Request, most: int) -> tuple[bytes, int]:
    # What is more than that is counted and let go, piece by piece: at the broker anybody may send anything.
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
    if found := WRAPPED.search(wrapped):
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
    """Read what the broker's folder says about its subscriptions: the `metadata` of a SubscriptionTuning.

    A subscription made in code replaces, for its topic, one that is declared for daprd, without a word; so
    what the folder says is handed on in code. Python knows no broker's settings.
    """
    if resource is None:
        return {}
    # The base loader leaves every value the text that it is: `true` stays true, as Dapr wants it.
    document: dict[str, Any] = yaml.load(resource.read_text(), yaml.BaseLoader)  # noqa: S506
    return dict(document.get("metadata") or {})
