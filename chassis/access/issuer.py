"""The issuer, by OpenID Connect Discovery: its keys, fetched in the background, and kept while it is away."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from jwt import PyJWK, PyJWTError

from chassis.errors import Rejected
from chassis.runtime import clock
from chassis.runtime.loopback import is_loopback

_log = logging.getLogger(__name__)

FRESH = 300.0
"""Seconds after which the keys are fetched again: a key that the issuer withdraws counts for no longer."""
AT_MOST_EVERY = 10.0
"""Seconds between two fetches, however many tokens name keys that are not known."""
PATIENCE = 5.0
"""Seconds that one answer of the issuer may take."""
MAX_BYTES = 256 * 1024
MOST_KEYS = 100
SHORTEST_RSA = 2048
AWAY = (aiohttp.ClientError, TimeoutError, OSError)
"""What is raised where the issuer does not answer."""
DISCOVERY = "/.well-known/openid-configuration"

# The key decides the algorithm, never the token; other kinds of keys are not used.
_ALGORITHMS: Mapping[object, tuple[str, tuple[str, ...]]] = {
    ("RSA", None): ("RS256", ("n", "e")),
    ("EC", "P-256"): ("ES256", ("crv", "x", "y")),
    ("OKP", "Ed25519"): ("EdDSA", ("crv", "x")),
}


class IssuerUnavailable(Rejected):
    """The issuer of access tokens does not answer, and this token's key is not known yet; try again."""

    status = 503
    retry_after = 5


class Unusable(Exception):
    """The issuer's answer cannot be used."""


@dataclass(frozen=True)
class Key:
    """A public key of the issuer, and the one algorithm that it verifies."""

    algorithm: str
    public: PyJWK


class Issuer:
    """The keys of one issuer, by their ids, and where it signs in; `changes` counts the fetches that succeeded."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.changes = 0
        self._keys: Mapping[str, Key] = {}
        self._document: Mapping[str, Any] = {}
        self._is_away = False
        self._asked_at = self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Begin to fetch the keys where that is due; nobody waits for it."""
        if clock.monotonic() - self._fetched_at >= FRESH:
            self._begin()

    async def find(self, key_id: str) -> Key | None:
        """Return a key, once fetched if it is not known; None where the issuer does not have it.

        Raises IssuerUnavailable.
        """
        if key_id not in self._keys and (fetching := self._begin()):
            # Others wait for it too: whoever hangs up does not end it.
            await asyncio.shield(fetching)
        found = self._keys.get(key_id)
        if found is None and (self._is_away or not self.changes):
            raise IssuerUnavailable
        return found

    async def document(self) -> Mapping[str, Any]:
        """Return its discovery document, once fetched if it is not known; raises IssuerUnavailable."""
        self.refresh()
        if not self.changes and (fetching := self._begin()):
            await asyncio.shield(fetching)
        if not self.changes:
            raise IssuerUnavailable
        return self._document

    async def close(self) -> None:
        """Stop to fetch."""
        if self._fetching:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _begin(self) -> asyncio.Task[None] | None:
        """Return the fetch under way, or a new one, or None where the last one was just now."""
        if self._fetching and not self._fetching.done():
            return self._fetching
        now = clock.monotonic()
        if now - self._asked_at < AT_MOST_EVERY:
            return None
        self._asked_at = now
        self._fetching = asyncio.create_task(self._fetch(), name="issuer's keys")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            self._document, self._keys = await _fetch_all(self.url)
        except (*AWAY, Unusable) as error:
            if not self._is_away:
                why = str(error) or type(error).__name__
                text = "the issuer %s cannot be used, %d keys of it stay in use: %s"
                _log.warning(text, self.url, len(self._keys), why)
            self._is_away = True
            return
        if self._is_away:
            _log.info("the issuer %s is back", self.url)
        self._is_away = False
        self._fetched_at = clock.monotonic()
        self.changes += 1


async def _fetch_all(issuer: str) -> tuple[dict[str, Any], dict[str, Key]]:
    """Return an issuer's discovery document and its keys; raises what aiohttp raises, and Unusable."""
    found = await ask(issuer.rstrip("/") + DISCOVERY)
    if found.get("issuer") != issuer:
        raise Unusable(f"its discovery document is that of {found.get('issuer')!r}")
    address = found.get("jwks_uri")
    if not isinstance(address, str) or not is_private(address, issuer):
        raise Unusable(f"its jwks_uri is {address!r}, which is not https")
    listed = (await ask(address)).get("keys")
    if not isinstance(listed, list):
        raise Unusable("its key set has no keys")
    keys = (_key(each) for each in listed[:MOST_KEYS] if isinstance(each, dict))
    return found, {name: key for name, key in keys if key}


def is_private(address: str, issuer: str = "") -> bool:
    """Return whether nobody can read or change what comes from an address: by https, or on this machine.

    From an issuer elsewhere, what it says is on this machine is not asked.
    """
    try:
        parts, host = urlsplit(address), urlsplit(issuer).hostname
        if parts.scheme == "https":
            return bool(parts.hostname)
        local = is_loopback(parts.hostname or "")
    except ValueError:
        return False
    return parts.scheme == "http" and local and (not issuer or is_loopback(host or ""))


async def ask(address: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object at an address, or that a form sent to it is answered with.

    Raises what aiohttp raises, and Unusable.
    """
    body = bytearray()
    async with (
        # Neither a proxy that the environment names, nor a redirect, nor a compressed body.
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        ) as session,
        session.request(
            "GET" if form is None else "POST",
            address,
            data=form,
            allow_redirects=False,
        ) as answer,
    ):
        if answer.status != 200:
            raise Unusable(f"{address} answers {answer.status}")
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > MAX_BYTES:
                raise Unusable(f"{address} answers more than {MAX_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{address} answers no JSON") from error
    if not isinstance(document, dict):
        raise Unusable(f"{address} answers no JSON object")
    return document


def _key(listed: Mapping[str, Any]) -> tuple[str, Key | None]:
    """Return a key and its id; None for one that no token here may be signed with."""
    name, kind = listed.get("kid"), (listed.get("kty"), listed.get("crv"))
    try:
        algorithm, members = _ALGORITHMS[kind]
        is_meant = listed.get("use", "sig") == "sig"
        if not isinstance(name, str) or not is_meant:
            return "", None
        if listed.get("alg", algorithm) != algorithm:
            return "", None
        public = {each: listed[each] for each in ("kty", *members)}
        key = PyJWK(public, algorithm)
    except (PyJWTError, LookupError, TypeError, ValueError):
        return "", None
    if algorithm == "RS256" and key.key.key_size < SHORTEST_RSA:
        return "", None
    return name, Key(algorithm, key)
