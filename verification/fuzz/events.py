"""Hostile events: what whoever knows the broker's password may publish, drawn by chance."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.support.delivering import order_created, signed

MARK = "<svg onload=fuzz>"
"""What no page may show as it is, and no customer is called here."""
ORDER = "orderId"
SIGNED = (
    *("id", "source", "type", "subject", "time", "dataschema"),
    *("correlationid", "causationid", "aggregateversion", "data"),
)
"""The attributes that nobody may change (chassis/signature.py)."""
TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "\u202e",
        "\r\nBcc: a@b.example",
        "'; DROP TABLE notification; --",
    ),
    *(
        MARK,
        "{{7*7}}",
        "%s%n",
        "../../etc/passwd",
        "x" * 300,
        "\x1b]0;owned\x07",
        "nan",
    ),
    *("9999-12-31T23:59:59-14:00", "00-" + "f" * 32 + "-" + "0" * 16 + "-01"),
)
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 10**30, -(10**30), 1e308, 0.1, -0.0)


@dataclass(frozen=True)
class Hostile:
    """An event as bytes; the order that it must, or must not, notify the customer of."""

    body: bytes
    must: str = ""
    must_not: str = ""


def value(chance: Random, depth: int = 3) -> Any:  # noqa: ANN401 - any JSON
    """Return any JSON."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        return {
            chance.choice(TEXTS): value(chance, depth - 1)
            for _ in range(chance.randrange(4))
        }
    plain = (None, True, chance.choice(TEXTS), chance.choice(NUMBERS), "Eve")
    return plain[kind]


def genuine(chance: Random) -> Hostile:
    """Return an authentic event, written as whoever passes it on may write it."""
    event = order_created()
    members = [*event.items()]
    chance.shuffle(members)
    text = json.dumps(
        dict(members),
        ensure_ascii=chance.random() < 0.5,
        indent=chance.choice((None, 1)),
    )
    return Hostile(text.encode(), must=event["data"][ORDER])


def altered(chance: Random) -> Hostile:
    """Return an authentic event of which something signed was changed."""
    event = order_created()
    name = chance.choice(SIGNED)
    changed = (
        {**event["data"], "customerName": "Mallory"}
        if name == "data"
        else value(chance)
    )
    if changed == event[name]:
        return altered(chance)
    return _forged({**event, name: changed}, event)


def unsigned(chance: Random) -> Hostile:
    """Return an event with a signature that is none."""
    event = order_created(signature=_no_signature(chance))
    return _forged(event, event)


def _no_signature(chance: Random) -> Any:  # noqa: ANN401 - any JSON
    parts = order_created()["signature"].split(".")
    place = chance.randrange(len(parts))
    parts[place] = chance.choice((*TEXTS, parts[place][::-1], "none", "0"))
    forged = ".".join(parts)
    return chance.choice((forged, value(chance), None, "", "1.tests.", "2.x.y"))


def invalid(chance: Random) -> Hostile:
    """Return what a service might have signed with a bug in it: authentic, and no OrderCreated."""
    event = order_created()
    field = chance.choice(sorted(event["data"]))
    bad = {**event["data"], field: value(chance)}
    return Hostile(_json(signed({**event, "data": bad})))


def mutated(chance: Random) -> Hostile:
    """Return an event of which some bytes were changed; whatever is left of it."""
    body = bytearray(_json(order_created()))
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(body))
        body[place : place + chance.randrange(3)] = chance.randbytes(
            chance.randrange(3)
        )
    return Hostile(bytes(body))


def any_json(chance: Random) -> Hostile:
    """Return any JSON at all."""
    return Hostile(_json(value(chance)))


def garbage(chance: Random) -> Hostile:
    """Return any bytes."""
    repeated = chance.choice((b"[", b'{"a":', b"\xff", b'"', b"0", chance.randbytes(3)))
    return Hostile(repeated * chance.randrange(1, 2000))


def _forged(event: dict[str, Any], of: dict[str, Any]) -> Hostile:
    return Hostile(_json(event), must_not=of["data"][ORDER])


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=True).encode()


KINDS: tuple[Callable[[Random], Hostile], ...] = (
    *(genuine, altered, unsigned, invalid, mutated, any_json, garbage),
)


def draw(chance: Random) -> Hostile:
    """Return one of any kind."""
    return chance.choice(KINDS)(chance)
