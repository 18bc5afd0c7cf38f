"""Sign people in at the issuer: OpenID Connect's code flow, with PKCE, state and nonce.

All three are derived from one secret that the browser alone keeps from the first step to the last: whoever has the
code, and not the secret, has nothing.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from chassis.access.access import Access
from chassis.access.caller import Caller
from chassis.access.issuer import (
    AWAY,
    IssuerUnavailable,
    Unusable,
    ask,
    is_private,
)
from chassis.errors import Rejected

LONGEST_NAME = 100


class SignInRefused(Rejected):
    """The issuer did not sign you in. Nothing was changed; sign in again."""

    status = 403


@dataclass(frozen=True)
class Identity:
    """Who signed in: what the access token lets them do, and the name that the ID token has for them."""

    caller: Caller
    name: str


@dataclass(eq=False)
class CodeFlow:
    """The client of an issuer: `redirect_uri` is where browsers come back to, as it is registered there."""

    access: Access
    client_id: str
    redirect_uri: str

    async def address(self, secret: str, scopes: Iterable[str]) -> str:
        """Return where to send a browser that keeps this secret; raises IssuerUnavailable."""
        authorize = await self._endpoint("authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(["openid", "profile", *sorted(scopes)]),
            "state": derive(secret, "state"),
            "nonce": derive(secret, "nonce"),
            "code_challenge": _digest(derive(secret, "verifier")),
            "code_challenge_method": "S256",
        }
        return f"{authorize}{'&' if '?' in authorize else '?'}{urlencode(asked)}"

    async def finish(self, secret: str, sent: Mapping[str, str]) -> Identity:
        """Return who came back with this query; raises SignInRefused, IssuerUnavailable, Unauthenticated."""
        if not secrets.compare_digest(
            sent.get("state", "").encode(), derive(secret, "state").encode()
        ):
            raise SignInRefused(
                "This is no answer to the sign-in that this browser began last."
            )
        if "code" not in sent:
            raise SignInRefused(f"The issuer answers: {sent.get('error', '')[:100]!r}.")
        tokens = await self._exchange(sent["code"], secret)
        caller = await self.access.prove(_text(tokens, "access_token"))
        told = await self._identity.claims(_text(tokens, "id_token"))
        if told.get("nonce") != derive(secret, "nonce"):
            raise SignInRefused("The ID token is of another sign-in.")
        return Identity(caller, _name(told) or caller.subject)

    @property
    def _identity(self) -> Access:
        return Access(self.access.issuer, self.client_id)

    async def _exchange(self, code: str, secret: str) -> dict[str, Any]:
        token_endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code": code,
            "code_verifier": derive(secret, "verifier"),
        }
        try:
            return await ask(token_endpoint, form)
        except Unusable as error:
            raise SignInRefused(f"The issuer refuses the code: {error}.") from error
        except AWAY as error:
            raise IssuerUnavailable from error

    async def _endpoint(self, name: str) -> str:
        """Return where the issuer signs in, or exchanges codes."""
        issuer = self.access.issuer
        address = _text(await issuer.document(), name)
        if not is_private(address, issuer.url):
            raise IssuerUnavailable("The issuer's discovery document cannot be used.")
        return address


def derive(secret: str, purpose: str) -> str:
    """Return what a secret becomes for one purpose; the one says nothing of the other, nor of the secret."""
    return _digest(f"{purpose}\n{secret}")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise SignInRefused(f"The issuer's answer has no {name}.")
    return value


def _name(claims: Mapping[str, Any]) -> str:
    named = (claims.get(each) for each in ("name", "preferred_username"))
    usable = (each for each in named if isinstance(each, str) and each.isprintable())
    return next(usable, "")[:LONGEST_NAME]
