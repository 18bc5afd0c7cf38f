"""What somebody publishes who is not the sender: other content, another source, or what nobody can read."""

import json
from dataclasses import replace

from tests.support.simulated_delivery import Message
from verification.simulation.chance import Chance

CONTENT = "forge the content"
ACTS = {CONTENT, "forge the source", "malformed"}
FORGER = {"customerName": "Mallory", "customerEmail": "mallory@example.org"}
UNREADABLE = [b"", b"\xff\xfe", b"{", b"[]", b"null", b'"OrderCreated"', b'{"id": 1}']


def forged(act: str, genuine: Message, chance: Chance) -> Message:
    """Make a forgery of a message that is on its way."""
    event = json.loads(genuine.body)
    if act == CONTENT:
        event["data"] |= FORGER
    elif act == "forge the source":
        event["source"] = chance.one_of(["/elsewhere", "/notification", ""])
    else:
        cut = genuine.body[: len(genuine.body) // 2]
        empty = json.dumps({**event, "data": {}}).encode()
        body = chance.one_of([*UNREADABLE, cut, empty])
        return replace(genuine, body=body)
    return replace(genuine, body=json.dumps(event).encode())
