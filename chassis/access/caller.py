"""The caller of a request, the scope that a route needs, and what is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers

from chassis.errors import Rejected
from chassis.runtime import clock

OPEN = "open"
"""What a route states that anybody may call: health, the API's description, static files."""
INTERNAL = "internal"
"""What a route states that has a guard of its own: other services and the sidecar call it, no customer does."""
OPERATE = "operate"
"""The scope of those who run the system; it includes every scope that only reads."""

_BEARER = re.compile(r"bearer +([!-~]+) *", re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """Whoever an access token, or the session of a page, proves to call."""

    subject: str
    scopes: frozenset[str]
    until: float = float("inf")
    """When that proof expires, in seconds since 1970."""

    @property
    def has_expired(self) -> bool:
        """Whether that proof has expired."""
        return clock.now().timestamp() >= self.until

    def may(self, needed: str | None) -> bool:
        """Return whether the caller has the scope that a route needs; nobody has one that is not stated."""
        if not needed:
            return False
        reads = OPERATE in self.scopes and needed.endswith(":read")
        return reads or needed in self.scopes

    @property
    def owner(self) -> str | None:
        """The subject whose records alone the caller sees; None for those who run the system, who see all."""
        return None if OPERATE in self.scopes else self.subject


class Unauthenticated(Rejected):
    """This needs a valid access token; send it as `Authorization: Bearer <token>`."""

    status = 401

    @property
    def headers(self) -> Mapping[str, str]:
        """The challenge of RFC 6750: it names an error only where a token was sent."""
        why = self.members.get("error")
        error = f' error="{why}", error_description="{self}"' if why else ""
        return {"WWW-Authenticate": f"Bearer{error}"}


class ScopeMissing(Rejected):
    """The access token does not have the scope that this needs."""

    status = 403

    @property
    def headers(self) -> Mapping[str, str]:
        """The challenge of RFC 6750."""
        scope = self.members["scope"]
        return {
            "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'
        }


def invalid(why: str) -> Unauthenticated:
    """Return the refusal of a token that was sent."""
    return Unauthenticated(why, error="invalid_token")


def bearer(headers: Headers) -> str | None:
    """Return the token of the one Authorization header, if that is Bearer and a token."""
    sent = headers.getlist("authorization")
    found = _BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
    return found[1] if found else None


def token_of(headers: Headers) -> str:
    """Return the token that was sent; raises Unauthenticated."""
    if token := bearer(headers):
        return token
    if "authorization" in headers:
        raise invalid("There must be one Authorization header, Bearer and a token.")
    raise Unauthenticated


def check_scope(caller: Caller, needed: str | None) -> None:
    """Refuse a caller without the scope that a route needs; raises ScopeMissing."""
    if not caller.may(needed):
        raise ScopeMissing(f"It needs the scope {needed}.", scope=needed)
