"""The body of a request: JSON in UTF-8, not compressed, 64 KiB at most, and read once."""

import json
from email.message import Message
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from chassis.errors import BodyTooLarge, MalformedJson, UnsupportedMediaType

MAX_BYTES = 64 * 1024


class JsonRequest(Request):
    """A request whose body is checked before FastAPI asks for it, and then has been read."""

    async def json(self) -> Any:  # noqa: ANN401 - as Starlette has it
        """Return the document, None without a body; raises BodyTooLarge, MalformedJson, UnsupportedMediaType."""
        if not hasattr(self, "_json"):
            self._body = await read_limited(self)
            self._json = _parse(self.headers, self._body) if self._body else None
        return self._json


async def read_limited(request: Request) -> bytes:
    """Return the body; raises BodyTooLarge."""
    # Counted while it arrives: a Content-Length may be missing or wrong.
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise BodyTooLarge(
                f"The body is larger than {MAX_BYTES // 1024} KiB; send less."
            )
    return bytes(body)


def _check_type(headers: Headers) -> None:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedMediaType(
            f"The body is compressed ({coding}); send it without Content-Encoding."
        )
    if headers.get("content-type") == "application/json":
        return  # as nearly all send it: to parse the header takes longer than the JSON
    sent = Message()
    sent["content-type"] = headers.get("content-type", "")
    media_type, charset = sent.get_content_type(), sent.get_content_charset("utf-8")
    if media_type != "application/json":
        raise UnsupportedMediaType(
            f"The body came as {media_type}; send Content-Type: application/json."
        )
    if charset not in {"utf-8", "us-ascii"}:
        raise UnsupportedMediaType(f"The body came in {charset}; send it in UTF-8.")


def _parse(headers: Headers, body: bytes) -> Any:  # noqa: ANN401 - any JSON
    _check_type(headers)
    # Decoded here: the decoder itself would take bytes in UTF-16 or UTF-32.
    try:
        return _decoder.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from error


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) < len(members):
        raise ValueError("a name occurs twice in one object")
    return made


def _deny(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_deny)
