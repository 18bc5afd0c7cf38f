"""What may happen to the answer of another service on its way."""

import json
from dataclasses import dataclass, field

import httpx

from verification.simulation.chance import Chance

GARBAGE = [
    b"<html>it works</html>",
    b"[]",
    b"null",
    b'{"events":{}}',
    b'{"events":[],"next":"7","highWaterMark":null,"removed":false}',
]
ANOTHER_VERSION = [
    {"items": [], "cursor": 0},
    {"events": [], "next": None, "end": None, "type": "page"},
    {"events": [["id", 1]], "next": None, "highWaterMark": None, "removed": False},
]


@dataclass
class Answers:
    """What was answered, so that it can come once more, and what comes in its place."""

    chance: Chance
    _earlier: dict[str, httpx.Response] = field(default_factory=dict)

    def changed(
        self, act: str, request: httpx.Request, answer: httpx.Response
    ) -> httpx.Response:
        """Return what arrives of an answer."""
        what = request.url.params.get("consumer", "events by ids")
        first = self._earlier.setdefault(what, answer)
        if act == "an old one":
            return first
        content = self._content(act, answer)
        return answer if content is None else httpx.Response(200, content=content)

    def _content(self, act: str, answer: httpx.Response) -> bytes | None:
        match act:
            case "empty":
                return b""
            case "cut":
                return answer.content[: len(answer.content) // 2]
            case "garbage":
                return self.chance.one_of(GARBAGE)
            case "another version":
                return json.dumps(self.chance.one_of(ANOTHER_VERSION)).encode()
        return None
