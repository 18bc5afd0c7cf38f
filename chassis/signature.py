"""Event signatures: whoever holds the broker's password still cannot invent or alter an event.

A signature is the CloudEvents extension attribute `signature`, `version.keyid.signature`: over a versioned list of
attributes and the data, as JSON with sorted keys (Go rewrites key order and escapes, and daprd adds attributes on
the way). Version 1 is an HMAC-SHA-256, version 2 an Ed25519 signature, which whoever verifies it cannot make.
Each producer has keys of its own, in a file named by its app-id; chassis.keys renews them without a pause.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from chassis.errors import Rejected
from chassis.event import to_json

Key = bytes | Ed25519PrivateKey | Ed25519PublicKey
HMAC, ED25519 = "1", "2"
"""The versions of a signature."""
PRIVATE, PUBLIC = "ed25519", "ed25519-public"
"""How the halves of an Ed25519 key begin in a file of keys; anything else is an HMAC secret."""

# Of both versions. The trace is left out: daprd may write another.
_SIGNED = itemgetter(
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
    "correlationid",
    "causationid",
    "aggregateversion",
    "data",
)
_LARGEST_INTEGER = 2**53 - 1
_A_LINE = re.compile(r"([0-9a-z]{1,16}):([!-~]{16,})")


class UnsignableData(Rejected):
    """An event's data has a value that does not survive the way, such as a float or a very large integer."""

    status = 500


@dataclass(frozen=True)
class SigningKeys:
    """One producer's keys by id. The first signs; all of them verify."""

    keys: Mapping[str, Key] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `id:secret`, one a line; raises ValueError."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        found = [_A_LINE.fullmatch(line) for line in lines]
        if not found or None in found:
            raise ValueError(
                "each line must be id:secret, with a secret of 16 characters"
            )
        return cls({each[1]: _key(each[2]) for each in found if each})

    @classmethod
    def generate(cls) -> Self:
        """Return one new key."""
        return cls.parse(new_line())

    @property
    def can_sign(self) -> bool:
        """Whether the first key is more than the public half of one."""
        return not isinstance(next(iter(self.keys.values())), Ed25519PublicKey)

    def sign(self, envelope: Mapping[str, Any]) -> str:
        """Return the signature of an envelope; raises UnsignableData."""
        key_id, key = next(iter(self.keys.items()))
        if isinstance(key, bytes):
            return _hmac(key_id, key, envelope)
        if isinstance(key, Ed25519PublicKey):
            raise TypeError(f"key {key_id} is a public one: it verifies, and signs not")
        made = key.sign(_signed_bytes(ED25519, envelope))
        return f"{ED25519}.{key_id}.{encode(made)}"

    def verify(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an envelope carries a signature by one of these keys."""
        signature = envelope.get("signature", "")
        try:
            version, key_id, made = signature.split(".")
            key = self.keys[key_id]
            if isinstance(key, bytes):
                expected = _hmac(key_id, key, envelope)
                return secrets.compare_digest(
                    str(signature).encode(), expected.encode()
                )
            public = key if isinstance(key, Ed25519PublicKey) else key.public_key()
            # Over the version that it claims: nothing but the algorithm of the key is tried.
            public.verify(_decode(made), _signed_bytes(version, envelope))
        except (
            ValueError,
            KeyError,
            RecursionError,
            UnsignableData,
            InvalidSignature,
        ):
            # Malformed, by an unknown key, or over data that cannot be signed.
            return False
        return bool(version == ED25519)


def _key(secret: str) -> Key:
    kind, _, encoded = secret.partition(":")
    if kind == PRIVATE:
        return Ed25519PrivateKey.from_private_bytes(_decode(encoded))
    if kind == PUBLIC:
        return Ed25519PublicKey.from_public_bytes(_decode(encoded))
    return secret.encode()


def _hmac(key_id: str, key: bytes, envelope: Mapping[str, Any]) -> str:
    mac = hmac.new(key, _signed_bytes(HMAC, envelope), "sha256")
    return f"{HMAC}.{key_id}.{mac.hexdigest()}"


def new_line(*, asymmetric: bool = False) -> str:
    """Return the line of a new key."""
    secret = secrets.token_urlsafe(32)
    if asymmetric:
        made = Ed25519PrivateKey.generate().private_bytes_raw()
        secret = f"{PRIVATE}:{encode(made)}"
    return f"{secrets.token_hex(4)}:{secret}"


def public_line(line: str) -> str:
    """Return the line of the public half of a key; raises ValueError for an HMAC key, which has none."""
    key_id, _, secret = line.partition(":")
    key = _key(secret)
    if isinstance(key, bytes):
        text = f"{key_id} is an HMAC key: whoever verifies with it can sign"
        raise ValueError(text)  # noqa: TRY004 - it is what a file says
    public = key if isinstance(key, Ed25519PublicKey) else key.public_key()
    return f"{key_id}:{PUBLIC}:{encode(public.public_bytes_raw())}"


def encode(raw: bytes) -> str:
    """Return bytes in URL-safe Base64, as keys and signatures are written."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(raw) != text:  # one signature has one form
        raise ValueError("it is not in URL-safe Base64")
    return raw


def _signed_bytes(version: str, envelope: Mapping[str, Any]) -> bytes:
    *attributes, data = _SIGNED(envelope)
    try:
        signed = to_json([version, *attributes, _canonical(data)])
    except ValueError as error:
        raise UnsignableData(f"The event does not survive its way: {error}.") from error
    # An escaped backslash before u0000 makes no NUL of it.
    if rb"\u0000" in signed.replace(rb"\\", b""):
        raise UnsignableData("PostgreSQL stores NUL in no text.")
    return signed


def _canonical(value: object) -> object:
    """Return a JSON value with sorted keys; raises UnsignableData."""
    if isinstance(value, dict):
        return {key: _canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    too_large = isinstance(value, int) and abs(value) > _LARGEST_INTEGER
    if too_large or isinstance(value, float):
        kind = type(value).__name__
        raise UnsignableData(f"The {kind} in it does not survive Go's JSON.")
    return value
