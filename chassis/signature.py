"""Event signatures: whoever holds the broker's password still cannot invent or alter an event.

A signature is the CloudEvents extension attribute `signature`, `version.keyid.mac`: an HMAC-SHA-256 over a
versioned list of attributes and the data, as JSON with sorted keys (Go rewrites key order and escapes, and
daprd adds attributes on the way). Its key is never the secret that is sent to `/events`.

To renew a key without a pause: append the new one as the last line of the file and restart every replica, so
that all of them verify it; then move it to the top and restart again, so that they sign with it.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from chassis.errors import Rejected
from chassis.event import to_json
from chassis.runtime.secret_file import read_or_create

VERSION = "1"
# Version 1 of the list. The trace is left out: daprd may write another.
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
    """Keys by id. The first signs; all of them verify."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `id:secret`, one a line; raises ValueError."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        found = [_A_LINE.fullmatch(line) for line in lines]
        if not found or None in found:
            raise ValueError(
                "each line must be id:secret, with a secret of 16 characters"
            )
        return cls({each[1]: each[2].encode() for each in found if each})

    @classmethod
    def generate(cls) -> Self:
        """Return one new key."""
        return cls.parse(_new_line())

    def sign(self, envelope: Mapping[str, Any]) -> str:
        """Return the signature of an envelope; raises UnsignableData."""
        return self._signature(next(iter(self.keys)), envelope)

    def verify(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an envelope carries a signature by one of these keys."""
        signature = envelope.get("signature", "")
        try:
            _, key_id, _ = signature.split(".")
            expected = self._signature(key_id, envelope)
            return hmac.compare_digest(signature.encode(), expected.encode())
        except (ValueError, KeyError, RecursionError, UnsignableData):
            # Malformed, by an unknown key, or over data that cannot be signed.
            return False

    def _signature(self, key_id: str, envelope: Mapping[str, Any]) -> str:
        mac = hmac.new(self.keys[key_id], _signed_bytes(envelope), "sha256")
        return f"{VERSION}.{key_id}.{mac.hexdigest()}"


def load_signing_keys(file: Path) -> SigningKeys:
    """Return the keys in this file; the first service that needs it creates it.

    Ends the process with exit status 78 and a sentence where the file cannot be used.
    """
    return read_or_create(file, _new_line, SigningKeys.parse)


def _new_line() -> str:
    return f"{secrets.token_hex(4)}:{secrets.token_urlsafe(32)}"


def _signed_bytes(envelope: Mapping[str, Any]) -> bytes:
    *attributes, data = _SIGNED(envelope)
    try:
        signed = to_json([VERSION, *attributes, _canonical(data)])
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
        raise UnsignableData(f"{value!r} does not survive its way through Go's JSON.")
    return value
