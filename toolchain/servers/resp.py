"""Who answers at a Redis address, and what it does not keep, asked in Redis's own protocol (RESP)."""

import re
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from io import BufferedRWPair
from typing import Literal

DURABLE: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
}
"""With these settings Redis keeps what it has accepted: on disk before it answers, and never thrown out."""

SAYS_NO = ("NOAUTH", "NOPERM", "DENIED", "LOADING", "MISCONF", "MASTERDOWN")
"""How Redis begins to refuse a PING."""


@dataclass(frozen=True)
class Probe:
    """What was found at an address; `settings` are those of DURABLE, as far as it tells them."""

    found: Literal["redis", "nothing", "something else"]
    version: str = ""
    refuses: str = ""
    settings: Mapping[str, str] | None = None

    @property
    def serves(self) -> bool:
        """Tell whether it takes commands."""
        return self.found == "redis" and not self.refuses

    def missing(self) -> list[str]:
        """Give the settings that it lacks to keep everything, as they should be."""
        told = self.settings or {}
        return [
            f"{name} {value}"
            for name, value in DURABLE.items()
            if told.get(name) != value
        ]


NOTHING = Probe("nothing")
SOMETHING_ELSE = Probe("something else")


def probe(host: str, port: int, patience: float = 3) -> Probe:
    """Greet whoever listens there and tell what it is."""
    try:
        connection = socket.create_connection((host, port), patience)
    except OSError:
        return NOTHING
    with closing(connection), connection.makefile("rwb") as stream:
        try:
            return _ask(stream)
        except (OSError, ValueError):
            # It listens, but hangs up, says nothing in time, or speaks another language.
            return SOMETHING_ELSE


def _ask(stream: BufferedRWPair) -> Probe:
    answer = _call(stream, "PING")
    if answer != "+PONG" and not answer.startswith(
        tuple(f"-{each}" for each in SAYS_NO)
    ):
        return SOMETHING_ELSE
    if answer != "+PONG":
        return Probe("redis", refuses=answer.removeprefix("-"))
    version = re.search(r"redis_version:(\S+)", _call(stream, "INFO", "server"))
    settings = {name: _setting(stream, name) for name in DURABLE}
    return Probe("redis", version[1] if version else "", "", settings)


def _setting(stream: BufferedRWPair, name: str) -> str:
    # One that it may not tell (a hosted Redis forbids CONFIG) is answered with an error: no such value.
    return _call(stream, "CONFIG", "GET", name).removeprefix(f"{name}\n")


def _call(stream: BufferedRWPair, *words: str) -> str:
    parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
    stream.write("".join(parts).encode())
    stream.flush()
    return _answer(stream)


def _answer(stream: BufferedRWPair) -> str:
    line = stream.readline(10_000)
    if not line.endswith(b"\r\n"):
        raise ConnectionError
    text = line.decode().strip()
    if text.startswith("*"):
        return "\n".join(_answer(stream) for _ in range(int(text[1:])))
    if text.startswith("$"):
        # Its two last bytes end the line; a length of -1 means that there is none.
        return stream.read(max(0, int(text[1:]) + 2))[:-2].decode()
    return text
