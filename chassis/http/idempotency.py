"""Idempotency-Key: what is sent again with the same key is carried out once, and answered the same again.

The key's row commits with what the request does, so a crash leaves neither behind. (IETF draft
"The Idempotency-Key HTTP Header Field"; daprd may itself repeat a request that it passes on.)
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from weakref import WeakValueDictionary

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.dapr.tokens import CALLER
from chassis.database.unit_of_work import Database, Utc
from chassis.errors import Rejected
from chassis.runtime import clock

HEADER = "idempotency-key"
PATIENCE = 2.0
"""Seconds that a request waits for the one before it with the same key."""
KEPT = timedelta(hours=24)
"""How long an answer is known."""
LONGEST_SCOPE = 300
LOCK_NOT_AVAILABLE = "55P03"

_A_KEY = re.compile(r"[!-~]{1,255}")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

metadata = MetaData()
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("scope", String(LONGEST_SCOPE), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("status", Integer, nullable=False, default=0),
    Column("headers", Text, nullable=False, default="{}"),
    Column("body", LargeBinary, nullable=False, default=b""),
    Column("made_at", Utc, nullable=False),
)
_here = idempotency_key.c


class MalformedIdempotencyKey(Rejected):
    """An Idempotency-Key has 1 to 255 characters of ASCII, without spaces; a UUID is a good one."""


class IdempotencyKeyReused(Rejected):
    """This Idempotency-Key was sent with another request; send a new one with a new request."""

    status = 422


class RequestInFlight(Rejected):
    """The request with this Idempotency-Key is still being carried out; try again."""

    status = 409
    retry_after = 1


KEY_REFUSALS = (MalformedIdempotencyKey, IdempotencyKeyReused, RequestInFlight)
"""What a route that takes a key may refuse with on its account."""


@dataclass(frozen=True)
class Once:
    """What a request is known by: where it went, its key, and what it said."""

    scope: str
    key: str
    fingerprint: bytes

    def is_me(self) -> ColumnElement[bool]:
        """Name this request's row."""
        return and_(_here.scope == self.scope, _here.key == self.key)


class _NotKept(Exception):
    """The answer is one of trouble: nothing of it is kept."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class Idempotent(APIRoute):
    """A route whose POSTs are carried out once for each Idempotency-Key; without a key, as any other."""

    def get_route_handler(self) -> Handler:
        """Give what answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method != "POST":
                return await handle(request)
            return await _once(request, await _known_by(request, key), handle)

        return answer


def _document(
    _key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Sent again with the same key within 24 hours, a request is carried out once and "
            "answered the same again",
            examples=["01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"],
        ),
    ] = None,
) -> None:
    """Name the header in the documents."""


takes_a_key = Depends(_document)
"""Each POST of an Idempotent route names this in its `dependencies`."""


async def _known_by(request: Request, key: str) -> Once:
    if not _A_KEY.fullmatch(key):
        raise MalformedIdempotencyKey
    caller = request.headers.get(CALLER, "")
    scope = f"{request.method} {request.url.path} {caller}"
    if len(scope) > LONGEST_SCOPE:  # anybody may call himself anything
        scope = hashlib.sha256(scope.encode()).hexdigest()
    body = await request.body()
    said = _canonical(body) + b"?" + request.url.query.encode()
    return Once(scope, key, hashlib.sha256(said).digest())


def _canonical(body: bytes) -> bytes:
    # A client may write the same JSON in another order of its fields.
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return body


async def _once(request: Request, once: Once, handle: Handler) -> Response:
    turns = request.app.state.turns
    try:
        async with _turn(turns, once), request.app.state.database.write() as session:
            if known := await _claim(session, request.app.state.database, once):
                return _again(known, once)
            request.state.session = session
            answer = await handle(request)
            await _keep(session, once, answer)
            return answer
    except _NotKept as trouble:
        return trouble.answer


Turns = WeakValueDictionary[tuple[str, str], asyncio.Lock]
"""The requests that are being carried out in this process: a lock goes when nobody has it any more."""


@asynccontextmanager
async def _turn(turns: Turns, once: Once) -> AsyncIterator[None]:
    lock = turns.setdefault((once.scope, once.key), asyncio.Lock())
    try:
        await asyncio.wait_for(lock.acquire(), PATIENCE)
    except TimeoutError:
        raise RequestInFlight from None
    try:
        yield
    finally:
        lock.release()


async def _claim(session: AsyncSession, database: Database, once: Once) -> Any:  # noqa: ANN401 - a row
    """Take the key; give the row of the request that has it already, if there is one."""
    new = {
        "fingerprint": once.fingerprint,
        "made_at": clock.now(),
        "status": 0,
        "headers": "{}",
        "body": b"",
    }
    statement = insert(idempotency_key).values(scope=once.scope, key=once.key, **new)
    mine = statement.on_conflict_do_update(
        index_elements=["scope", "key"], set_=new, where=is_expired()
    ).returning(_here.key)
    if database.is_shared:  # another process may be at it
        await session.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE:.0f}s'"))
    try:
        if (await session.execute(mine)).first() is not None:
            return None
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise RequestInFlight from error
        raise
    return (await session.execute(select(idempotency_key).where(once.is_me()))).one()


def is_expired() -> ColumnElement[bool]:
    """Tell of a key whether its answer is known no longer."""
    # A time further ahead than it can be was written before the clock was set back.
    now = clock.now()
    return or_(_here.made_at < now - KEPT, _here.made_at > now + KEPT)


def _again(known: Any, once: Once) -> Response:  # noqa: ANN401 - a row
    if known.fingerprint != once.fingerprint:
        raise IdempotencyKeyReused
    return Response(known.body, known.status, json.loads(known.headers))


async def _keep(session: AsyncSession, once: Once, answer: Response) -> None:
    if answer.status_code >= 500 or answer.status_code == 429:
        raise _NotKept(answer)
    said = {
        "status": answer.status_code,
        "headers": json.dumps(dict(answer.headers)),
        "body": bytes(answer.body),
    }
    await session.execute(update(idempotency_key).where(once.is_me()).values(said))
