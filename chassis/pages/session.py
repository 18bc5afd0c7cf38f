"""Who is signed in on the pages: a row for each session, found by a secret that the browser alone keeps.

Its cookie is named by the service, as cookies do not tell ports apart, and is sent with no request that another
site makes, except when a link leads here: what changes something is never a GET.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fastapi import Request, Response
from sqlalchemy import (
    Column,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from chassis.access import Caller, Identity
from chassis.access.code_flow import derive
from chassis.database import Utc
from chassis.errors import Rejected
from chassis.http import Read
from chassis.parts import Parts
from chassis.runtime import clock

LONGEST = timedelta(hours=12)
"""How long a session lasts at most; mostly its access token expires before."""
SESSION, SIGN_IN = "session", "sign-in"
LOOKS_EVERY = 5.0
"""Seconds after which a stream notices that its session has ended."""
_HERE, _DUE = "signed_in", "signed_in_until"

metadata = MetaData()
page_session = Table(
    "page_session",
    metadata,
    # A hash: whoever reads the database signs in as nobody.
    Column("id", LargeBinary(32), primary_key=True),
    Column("subject", String(255), nullable=False),
    Column("name", String(100), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Index("page_session_expires_at", "expires_at"),
)
_column = page_session.c


@dataclass(frozen=True)
class SignedIn:
    """A session: who it is, and the token that its forms carry."""

    caller: Caller
    name: str
    secret: str = field(repr=False)

    @property
    def form_token(self) -> str:
        """What a form of this session has in a hidden field, and one of nobody else's (CSRF)."""
        return derive(self.secret, "form")


def cookie(parts: Parts, kind: str) -> str:
    """Return the name of a cookie of this service; over TLS no other host, path or port can have set it."""
    prefix = "__Host-" if is_private(parts) else ""
    return f"{prefix}{parts.name}-{kind}"


def set_cookie(
    answer: Response, parts: Parts, kind: str, value: str, seconds: int
) -> None:
    """Make the browser keep a cookie, or forget it: for no seconds."""
    answer.set_cookie(
        cookie(parts, kind),
        value,
        max_age=seconds,
        secure=is_private(parts),
        httponly=True,
        samesite="lax",
    )


def is_private(parts: Parts) -> bool:
    """Return whether browsers find this service by TLS."""
    return (parts.settings.public_url or "").startswith("https:")


async def find(read: Read) -> SignedIn | None:
    """Return the session of a request, where its cookie has one that has not ended."""
    secret = read.cookies.get(cookie(read.parts, SESSION))
    return await read(lambda session: look_up(session, secret)) if secret else None


def of(request: Request) -> SignedIn | None:
    """Return the session that a request was admitted by."""
    found: SignedIn | None = request.scope.get(_HERE)
    return found


def remember(read: Read, found: SignedIn) -> None:
    """Keep the session with its request."""
    read.scope[_HERE], read.scope[_DUE] = found, clock.monotonic() + LOOKS_EVERY


async def has_ended(read: Read) -> bool:
    """Return whether whoever began a stream has signed out since, or was for too long."""
    caller, found = read.caller, of(read)
    if caller and caller.has_expired:
        return True
    if found is None or clock.monotonic() < read.scope[_DUE]:
        return False
    remember(read, found)
    try:
        return await find(read) is None
    except (SQLAlchemyError, OSError, Rejected):
        return False  # a database that does not answer shows nothing, either


def look_up(session: Session, secret: str) -> SignedIn | None:
    """Return the session of a secret, where there is one that has not ended."""
    known = (_column.id == _hash(secret), _column.expires_at > clock.now())
    row = session.execute(select(page_session).where(*known)).first()
    if row is None:
        return None
    scopes = frozenset(row.scopes.split())
    until = row.expires_at.timestamp()
    return SignedIn(Caller(row.subject, scopes, until), row.name, secret)


def start(session: Session, identity: Identity, before: str | None) -> SignedIn:
    """Start a session; what the browser had before ends, whoever gave it to it (session fixation)."""
    if before:
        end(session, before)
    secret, caller = secrets.token_urlsafe(32), identity.caller
    latest = clock.now() + LONGEST
    until = min(caller.until, latest.timestamp())
    row = {
        "id": _hash(secret),
        "subject": caller.subject,
        "name": identity.name,
        "scopes": " ".join(sorted(caller.scopes)),
        "expires_at": datetime.fromtimestamp(until, UTC),
    }
    session.execute(insert(page_session).values(row))
    return SignedIn(Caller(caller.subject, caller.scopes, until), identity.name, secret)


def end(session: Session, secret: str) -> None:
    """End a session, in every tab and on every replica."""
    session.execute(delete_from(page_session).where(_column.id == _hash(secret)))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
