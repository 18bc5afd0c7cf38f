"""An issuer of access tokens: its keys are made here, and it serves them by OpenID Connect Discovery."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import (
    ECAlgorithm,
    OKPAlgorithm,
    RSAAlgorithm,
    get_default_algorithms,
)
from jwt.utils import base64url_encode

from tests.support.serving import serving

AUDIENCE = "https://orders.example.org"
ALGORITHMS: dict[str, Any] = {
    "RS256": RSAAlgorithm,
    "ES256": ECAlgorithm,
    "EdDSA": OKPAlgorithm,
}
SCOPES = ("orders:write", "orders:read", "notifications:read", "operate")


@dataclass(frozen=True)
class SigningKey:
    """A private key and its algorithm, published under an id."""

    id: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        """Its public part, as an issuer publishes it."""
        public = ALGORITHMS[self.algorithm].to_jwk(
            self.private.public_key(), as_dict=True
        )
        return {**public, "kid": self.id, "use": "sig", "alg": self.algorithm}


@cache
def signing_key(algorithm: str = "RS256", number: int = 1) -> SigningKey:
    """Return a key; an RSA key takes long to make, so the same one is made once."""
    private: Any
    if algorithm == "RS256":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    elif algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = ed25519.Ed25519PrivateKey.generate()
    return SigningKey(f"{algorithm}-{number}", algorithm, private)


def signed(claims: object, key: SigningKey, header: Mapping[str, object]) -> str:
    """Return a token with any claims and header, also such as no library would make."""
    parts = f"{encoded({'alg': key.algorithm, **header})}.{encoded(claims)}"
    algorithm = get_default_algorithms()[key.algorithm]
    signature = algorithm.sign(parts.encode(), key.private)
    return f"{parts}.{base64url_encode(signature).decode()}"


def encoded(value: object) -> str:
    """Return JSON as a part of a token."""
    return base64url_encode(json.dumps(value).encode()).decode()


@dataclass
class Issuer:
    """A running issuer: what it publishes can be changed, and what it was asked for is counted."""

    url: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [signing_key()])
    discovery: dict[str, object] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    """What it answers instead, by path."""
    status: int = 200
    location: str | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, object]:
        """The settings of a service that accepts its tokens."""
        return {"oidc_issuer": self.url, "oidc_audience": AUDIENCE}

    def token(
        self,
        scopes: str = "",
        *,
        subject: str = "jane",
        key: SigningKey | None = None,
        header: Mapping[str, object] | None = None,
        **claims: object,
    ) -> str:
        """Return an access token; a claim that is None is left out."""
        now, key = int(time.time()), key or self.keys[0]
        given = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 600,
            "scope": scopes,
            **claims,
        }
        payload = {name: each for name, each in given.items() if each is not None}
        named = {"kid": key.id, "typ": "at+jwt", **(header or {})}
        headers = {name: each for name, each in named.items() if each is not None}
        return signed(payload, key, headers)

    def authorization(self, scopes: str = "", **more: Any) -> dict[str, str]:  # noqa: ANN401 - as `token`
        """Return the header that carries such a token."""
        return {"authorization": f"Bearer {self.token(scopes, **more)}"}

    def _answer(self, path: str) -> bytes:
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
            return json.dumps({**document, **self.discovery}).encode()
        return json.dumps({"keys": [each.jwk for each in self.keys]}).encode()


@contextmanager
def issuing(port: int = 0) -> Iterator[Issuer]:
    """Run an issuer on loopback, at any port or this one."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            body = issuer._answer(self.path)
            self.send_response(issuer.status)
            if issuer.location:
                self.send_header("Location", issuer.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with serving(Handler, port) as at:
        issuer.url = f"http://127.0.0.1:{at}"
        yield issuer
