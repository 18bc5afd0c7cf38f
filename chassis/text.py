"""Text from outside, on its way to a terminal or a log."""

import re

# What moves the cursor, begins a line or turns the direction of a text.
_CONTROL = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

# It begins where a word does: tried within one too, a long word of a mail server's would take hours.
_AN_ADDRESS = re.compile(r"(?<![^\s<>\"'(),;:/])[^\s<>\"'(),;:/]+@[^\s<>\"'(),;:/]+")


def without_addresses(text: str) -> str:
    """Return a text without e-mail addresses: a server names whom it refuses, in what is stored and logged."""
    return _AN_ADDRESS.sub("(address)", text) if "@" in text else text


def escaped(text: str) -> str:
    """Return a text as one line that a terminal only shows: its control characters are written out."""
    return _CONTROL.sub(lambda it: it[0].encode("unicode_escape").decode(), text)
