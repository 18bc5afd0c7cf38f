"""What the issuer signs: access tokens (RFC 9068) for the services, and ID tokens for who signed in."""

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.issuer import keys
from toolchain.issuer.people import Person

AUDIENCE = "orders"
LIFE = 3600
"""Seconds that a token is valid."""


@dataclass(frozen=True)
class Issuer:
    """An issuer: its address, the folder of its keys, and where each client lets people come back to."""

    url: str
    folder: Path
    clients: Mapping[str, frozenset[str]] = field(default_factory=dict)
    audience: str = AUDIENCE

    def access_token(
        self, subject: str, scopes: Iterable[str], client: str = "make-token"
    ) -> str:
        """Return a token with which the services let `subject` do what the scopes say."""
        claims = {
            **self._claims(subject, self.audience),
            "client_id": client,
            "scope": " ".join(sorted(scopes)),
        }
        return keys.load(self.folder)[-1].sign(claims, "at+jwt")

    def id_token(self, person: Person, client: str, nonce: str | None) -> str:
        """Return a token that tells the client who signed in."""
        claims = {**self._claims(person.subject, client), "name": person.name}
        given = {"nonce": nonce} if nonce else {}
        return keys.load(self.folder)[-1].sign({**claims, **given}, "JWT")

    def _claims(self, subject: str, audience: str) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + LIFE,
            "jti": secrets.token_urlsafe(12),
        }
