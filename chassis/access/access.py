"""Access tokens: signed by the issuer, for this audience, within their time; each is verified once, then known.

A verified token is known by its hash until it expires or the keys are fetched again, so that a caller who sends
many requests with it does not pay for its signature each time.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt import PyJWTError
from starlette.datastructures import Headers

from chassis.access.caller import (
    Caller,
    Unauthenticated,
    check_scope,
    invalid,
    token_of,
)
from chassis.access.issuer import Issuer, Key

MAX_TOKEN = 8 * 1024
"""Characters of a token."""
LONGEST_SUBJECT = 255
LATEST = 2**53
"""The last second at which a token expires: a number may be larger than a time can be."""
_A_SCOPE = re.compile(r"[!#-\[\]-~]+")
TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
REQUIRED = ["iss", "aud", "exp", "iat", "sub"]

_REASONS: dict[type[PyJWTError], str] = {
    jwt.ExpiredSignatureError: "The token has expired.",
    jwt.ImmatureSignatureError: "The token is not valid yet.",
    jwt.InvalidIssuerError: "The token is of another issuer.",
    jwt.InvalidAudienceError: "The token is for another audience.",
    jwt.MissingRequiredClaimError: f"The token lacks one of {', '.join(REQUIRED)}.",
}


@dataclass(eq=False)
class Access:
    """Who may call: those to whom `issuer` gave a token for `audience`.

    `leeway` is the seconds that the issuer's clock and this one's may differ; `most_known` is how many verified
    tokens are known at a time, some 10 MB at most.
    """

    issuer: Issuer
    audience: str
    leeway: float = 30.0
    most_known: int = 10_000
    _known: dict[bytes, Caller] = field(default_factory=dict)
    _known_by: int = 0

    async def admit(self, headers: Headers, needed: str | None) -> Caller:
        """Return who calls; raises Unauthenticated, ScopeMissing, IssuerUnavailable."""
        caller = await self.prove(token_of(headers))
        check_scope(caller, needed)
        return caller

    async def prove(self, token: str) -> Caller:
        """Return whom a token proves; raises Unauthenticated, IssuerUnavailable."""
        self.issuer.refresh()
        name = hashlib.sha256(token.encode()).digest()
        known = self._of_these_keys().get(name)
        if known is not None and not known.has_expired:
            return known
        caller = await self._verify(token)
        found = self._of_these_keys()
        found.pop(name, None)
        while len(found) >= self.most_known:
            found.pop(next(iter(found)))
        found[name] = caller
        return caller

    def _of_these_keys(self) -> dict[bytes, Caller]:
        # A key that the issuer has withdrawn proves nothing any more.
        if self._known_by != self.issuer.changes:
            self._known.clear()
            self._known_by = self.issuer.changes
        return self._known

    async def _verify(self, token: str) -> Caller:
        return _caller(await self.claims(token))

    async def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, once it is verified; raises Unauthenticated, IssuerUnavailable."""
        if len(token) > MAX_TOKEN:
            raise invalid(f"The token is longer than {MAX_TOKEN} characters.")
        key_id = _key_id(token)
        key = await self.issuer.find(key_id)
        if key is None:
            raise invalid("The token is signed with a key that the issuer has not.")
        return self._claims(token, key)

    def _claims(self, token: str, key: Key) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer.url,
                leeway=self.leeway,
                options={"require": REQUIRED},
            )
        except (PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _refusal(error) from error


@asynccontextmanager
async def fetching(access: Access | None) -> AsyncIterator[None]:
    """Fetch the issuer's keys in the background, if there is one, while a service runs."""
    if access is None:
        yield
        return
    access.issuer.refresh()
    try:
        yield
    finally:
        await access.issuer.close()


def _key_id(token: str) -> str:
    """Return the id of the key that a token says it is signed with; raises Unauthenticated."""
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _refusal(error) from error
    kind, name = header.get("typ"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise invalid("The token's typ must be at+jwt or JWT.")
    # What changes the meaning of a signature is not known here (RFC 7515, 4.1.11).
    if "crit" in header or "b64" in header:
        raise invalid("The token's header has extensions that are not supported.")
    if not isinstance(name, str):
        raise invalid("The token does not name its key (kid).")
    return name


def _refusal(error: Exception) -> Unauthenticated:
    known = (why for kind, why in _REASONS.items() if isinstance(error, kind))
    return invalid(next(known, "The token is malformed, or its signature is wrong."))


def _caller(claims: dict[str, Any]) -> Caller:
    subject = claims["sub"]
    if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise invalid(f"The token's sub is not 1 to {LONGEST_SUBJECT} characters.")
    # OAuth (RFC 9068) has a string; some issuers send a list, and some call it scp.
    given = claims.get("scope", claims.get("scp", ""))
    listed = given.split(" ") if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(
        isinstance(each, str) for each in listed
    ):
        raise invalid("The token's scope is neither a string nor a list of them.")
    # A name with a space in it is none: a session, which keeps a string, would make two of it.
    scopes = frozenset(each for each in listed if _A_SCOPE.fullmatch(each))
    return Caller(subject, scopes, float(min(int(claims["exp"]), LATEST)))
