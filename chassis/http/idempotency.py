"""Idempotency-Key: a request sent again with the same key is carried out once, and answered the same again.

The key, its answer and what the request changes are one transaction, so a crash leaves none of them behind.
(IETF draft "The Idempotency-Key HTTP Header Field"; daprd itself may repeat a request that it passes on.)

A key belongs to its method, path and caller. Without access control all callers share it, so whoever guesses a
key and its request gets the stored answer: use a UUID. The caller's app-id is no part of the scope: one key
sent through two sidecars is one request, and daprd up to 1.18 passes on, beside the app-id that it knows, one
that the caller wrote.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import Request, Response
from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    bindparam,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session

from chassis.database import Database, Utc, batch, insert
from chassis.errors import MalformedJson, Rejected
from chassis.parts import InFlight, Parts
from chassis.runtime import clock

HEADER = "Idempotency-Key"
_CHARACTERS = r"[!#-+\--\[\]-~]{1,255}"
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "description": "Sent again with the same key within 24 hours, a request is carried out once and answered the "
    "same again. A key is its caller's own; without access control all callers share those of a path: use a UUID",
    "schema": {"type": "string", "pattern": rf'^("{_CHARACTERS}"|{_CHARACTERS})$'},
    "example": "01a20727-ad7d-7a6d-8ffc-e0698ef24ad8",
}
"""The header as the API's description shows it; `identify` alone reads it."""
PATIENCE = 2.0
"""Seconds that a request waits for an earlier one with the same key."""
KEPT = timedelta(hours=24)
"""How long an answer is stored."""
MAX_SCOPE = 300

_PAUSE = (0.02, 0.1)
# The draft quotes a key; many clients do not. Either way it is the same key.
_KEY = re.compile(r'(?P<quote>"?)(?P<key>' + _CHARACTERS + r")(?P=quote)")

metadata = MetaData()
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("scope", String(MAX_SCOPE), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Utc, nullable=False),
    Index("idempotency_key_age", "created_at"),
)
_column = idempotency_key.c
_FIND = select(idempotency_key).where(
    _column.scope == bindparam("of_scope"), _column.key == bindparam("of_key")
)
_insert = insert(idempotency_key)
# What is there by now has expired: the key is ours alone until this transaction ends.
_STORE = _insert.on_conflict_do_update(
    index_elements=["scope", "key"],
    set_={each.name: _insert.excluded[each.name] for each in _column},
)


class MalformedIdempotencyKey(Rejected):
    """The Idempotency-Key is one key of 1 to 255 ASCII characters, without spaces, commas or backslashes."""


class IdempotencyKeyReused(Rejected):
    """This Idempotency-Key was sent with another request; send a new one with a new request."""

    status = 422


class RequestInFlight(Rejected):
    """The request with this Idempotency-Key is still being carried out; try again."""

    status = 409
    retry_after = 1


class _HeldElsewhere(Exception):
    """Another process carries out the request with this key."""


@dataclass(frozen=True)
class KeyedRequest:
    """A request's identity: its scope (method and path), its key, and a fingerprint of its content."""

    scope: str
    key: str
    fingerprint: bytes

    def lock_id(self) -> int:
        """Return the key's number among PostgreSQL's advisory locks."""
        named = hashlib.sha256(f"{self.scope}\n{self.key}".encode()).digest()
        return int.from_bytes(named[:8], signed=True)


async def identify(
    request: Request, sent: Sequence[str], subject: str | None = None
) -> KeyedRequest | None:
    """Return the identity of a request sent with this key, if any, by this subject, if that is known.

    Raises MalformedIdempotencyKey, MalformedJson.
    """
    if not sent:
        return None
    key = _KEY.fullmatch(sent[0])
    if len(sent) > 1 or key is None:
        raise MalformedIdempotencyKey
    scope = f"{request.method} {request.url.path}"
    if subject is not None:
        # A line break is in no address, and in no subject.
        scope = f"{subject}\n{scope}"
    if len(scope) > MAX_SCOPE or subject is not None:
        scope = hashlib.sha256(scope.encode()).hexdigest()
    body = _canonical(await request.json())
    content = f"{body}?{request.url.query}".encode()
    return KeyedRequest(scope, key["key"], hashlib.sha256(content).digest())


def _canonical(document: object) -> str:
    # Sorted: a client may write the fields of the same JSON in another order.
    try:
        return "" if document is None else json.dumps(document, sort_keys=True)
    except RecursionError as error:  # the stack is deeper here than where it was parsed
        raise MalformedJson("The body is nested too deeply.") from error


async def carry_out_once(
    parts: Parts,
    request: KeyedRequest,
    work: Callable[[Session], Response],
    lane: str,
    until: float,
) -> Response:
    """Carry out a request in one transaction with its key and answer, or return the stored answer.

    A request that meets an earlier one with its key waits for it outside any transaction, up to PATIENCE;
    then it raises RequestInFlight.
    """
    database, deadline = parts.database, clock.monotonic() + PATIENCE
    async with _turn(parts.in_flight, request):
        while True:
            try:
                return await database.write(
                    lambda session: _once(session, database, request, work),
                    lane,
                    until,
                )
            except _HeldElsewhere:
                if clock.monotonic() >= deadline:
                    raise RequestInFlight from None
            await asyncio.sleep(clock.jitter(*_PAUSE))


@asynccontextmanager
async def _turn(in_flight: InFlight, request: KeyedRequest) -> AsyncIterator[None]:
    lock = in_flight.setdefault((request.scope, request.key), asyncio.Lock())
    try:
        async with asyncio.timeout(PATIENCE):
            await lock.acquire()
    except TimeoutError:
        raise RequestInFlight from None
    try:
        yield
    finally:
        lock.release()


def _once(
    session: Session,
    database: Database,
    request: KeyedRequest,
    work: Callable[[Session], Response],
) -> Response:
    if database.is_shared:
        _lock(session, request)
    mine = {"of_scope": request.scope, "of_key": request.key}
    known = session.execute(_FIND, mine).first()
    if known is not None and abs(clock.now() - known.created_at) <= KEPT:
        return _stored_answer(known, request)
    answer = work(session)
    _store(session, request, answer)
    return answer


def _lock(session: Session, request: KeyedRequest) -> None:
    # Held to the end of the transaction. It never waits: whoever waited here would hold a connection, and
    # a statement that times out would take the whole transaction with it.
    free = func.pg_try_advisory_xact_lock(request.lock_id())
    if not session.scalar(select(free)):
        raise _HeldElsewhere


def is_expired() -> ColumnElement[bool]:
    """Match keys whose answer is no longer stored."""
    # A time further ahead than it can be was written before the clock was set back.
    now = clock.now()
    return or_(_column.created_at < now - KEPT, _column.created_at > now + KEPT)


def _stored_answer(known: Row[Any], request: KeyedRequest) -> Response:
    if known.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return Response(known.body, known.status, json.loads(known.headers))


def _store(session: Session, request: KeyedRequest, answer: Response) -> None:
    row = {
        "scope": request.scope,
        "key": request.key,
        "fingerprint": request.fingerprint,
        "status": answer.status_code,
        "headers": json.dumps(dict(answer.headers)),
        "body": bytes(answer.body),
        "created_at": clock.now(),
    }
    batch(session, _store_all, row)


def _store_all(session: Session, rows: list[dict[str, Any]]) -> None:
    session.execute(_STORE, rows)
