"""Event signatures: whoever holds the broker's password still cannot invent or alter an event.

A signature is the CloudEvents extension attribute `signature`, `version.keyid.mac`: an HMAC-SHA-256 over a
versioned list of attributes and the data, as JSON with sorted keys (Go rewrites key order and escapes, and
daprd adds attributes on the way). Its key is never the secret that is sent to `/events`.

To renew a key without a pause: append the new one as the last line of the file and restart every replica, so
that all of them verify it; then move it to the top and restart again, so that they sign with it.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chassis.cloud_event import CloudEvent
from chassis.errors import Rejected
from chassis.event import rfc3339
from chassis.runtime.secret_file import read_or_create

VERSION = "1"
_LARGEST_INTEGER = 2**53 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_A_LINE = re.compile(r"([0-9a-z]{1,16}):([!-~]{16,})")


class UnsignableData(Rejected):
    """An event's data has a value that does not survive its way, as a float or a very large integer."""

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

    def sign(self, envelope: CloudEvent) -> str:
        """Return the signature of an envelope; raises UnsignableData."""
        _check(envelope.data)
        key_id, key = next(iter(self.keys.items()))
        return f"{VERSION}.{key_id}.{_mac(key, envelope)}"

    def verify(self, envelope: CloudEvent) -> bool:
        """Return whether an envelope carries a signature by one of these keys."""
        version, _, rest = envelope.signature.partition(".")
        key_id, _, mac = rest.partition(".")
        key = self.keys.get(key_id)
        if version != VERSION or key is None:
            return False
        try:
            return hmac.compare_digest(mac.encode(), _mac(key, envelope).encode())
        except (ValueError, RecursionError):
            # A lone surrogate, a huge number, or nonsense: nobody signs one.
            return False


def load_signing_keys(file: Path) -> SigningKeys:
    """Return the keys in this file; the first service that needs it creates it.

    Ends the process with exit status 78 and a sentence where the file cannot be used.
    """
    return read_or_create(file, _new_line, SigningKeys.parse)


def _new_line() -> str:
    return f"{secrets.token_hex(4)}:{secrets.token_urlsafe(32)}"


def _mac(key: bytes, envelope: CloudEvent) -> str:
    return hmac.new(key, _signed_bytes(envelope), hashlib.sha256).hexdigest()


def _signed_bytes(envelope: CloudEvent) -> bytes:
    # Version 1 of the list. The trace is left out: daprd may write another.
    signed = [
        VERSION,
        envelope.id,
        envelope.source,
        envelope.type,
        envelope.subject,
        rfc3339(envelope.time),
        envelope.dataschema,
        envelope.correlationid,
        envelope.causationid,
        envelope.aggregateversion,
        envelope.data,
    ]
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _check(value: object) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _check(key)
            _check(each)
    elif isinstance(value, list):
        for each in value:
            _check(each)
    elif not _survives(value):
        raise UnsignableData(f"{value!r} does not survive its way through Go's JSON.")


def _survives(value: object) -> bool:
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    if isinstance(value, float):
        return False
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INTEGER
    return value is None
