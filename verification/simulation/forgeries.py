"""What somebody publishes who knows the broker's password and no signing key, and replays of authentic events."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chassis.signature import SigningKeys
from tests.support.simulated_delivery import Message, as_delivered
from verification.simulation.chance import Chance

REPLAY = "replay"
FORGER = {"customerName": "Mallory", "customerEmail": "mallory@example.org"}
FORGED_KEYS = SigningKeys.parse("forged:known-to-the-forger-alone")
MALFORMED = [b"", b"\xff\xfe", b"{", b"[]", b"null", b'"OrderCreated"', b'{"id": 1}']

Event = dict[str, Any]


def _altered(event: Event, _chance: Chance) -> Event:
    return {**event, "data": {**event["data"], **FORGER}}


def _from_elsewhere(event: Event, chance: Chance) -> Event:
    return {**event, "source": chance.one_of(["/elsewhere", "/notification", ""])}


def _unsigned(event: Event, chance: Chance) -> Event:
    forged = _altered(event, chance)
    del forged["signature"]
    return forged


def _signed_by_another(event: Event, chance: Chance) -> Event:
    forged = _altered(event, chance)
    signature = FORGED_KEYS.sign(forged)
    return {**forged, "signature": signature}


def _under_another_id(event: Event, chance: Chance) -> Event:
    return {**event, "id": f"{chance.bits(64):016x}"}


_FORGED: dict[str, Callable[[Event, Chance], Event]] = {
    "alter": _altered,
    "forge the source": _from_elsewhere,
    "unsigned": _unsigned,
    "sign with another key": _signed_by_another,
    "replay under another id": _under_another_id,
}
FORGERIES = {*_FORGED, "malformed"}
"""What is never handled, and kept as a dead letter."""


def forged(act: str, authentic: Message, chance: Chance) -> Message:
    """Return a forgery of a message that is on its way, written as a bulk delivery has it."""
    forgery = _forged(act, authentic, chance)
    return replace(forgery, body=as_delivered(forgery.body) or forgery.body)


def _forged(act: str, authentic: Message, chance: Chance) -> Message:
    if act == "malformed":
        cut = authentic.body[: len(authentic.body) // 2]
        empty = json.dumps({**json.loads(authentic.body), "data": {}}).encode()
        return replace(authentic, body=chance.one_of([*MALFORMED, cut, empty]))
    event = _FORGED[act](json.loads(authentic.body), chance)
    return replace(authentic, body=json.dumps(event).encode())


def replayed(authentic: Message, chance: Chance) -> Message:
    """Return the same event, with what no signature covers changed: it is a duplicate, and no forgery."""
    trace = f"00-{chance.bits(127) + 1:032x}-{chance.bits(63) + 1:016x}-00"
    event = {**json.loads(authentic.body), "traceparent": trace, "tracestate": "x=1"}
    return replace(authentic, body=json.dumps(event).encode())
