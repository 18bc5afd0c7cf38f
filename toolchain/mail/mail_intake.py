"""Takes mails over HTTP, as mail APIs do: POST /emails, JSON with an Idempotency-Key, each key once.

What a mail is known by is stored in its own file: there is no moment at which a kill could part the two.
"""

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toolchain.mail import mailbox

LARGEST = 2**20
PARTS = ("from", "to", "subject", "html")
HEADER = re.compile(rb"^X-Known-By: (\w{64}) (\w{64})\r$", re.MULTILINE)
WITHIN = 2048
"""The header is among a mail's first bytes."""


class Unusable(Exception):
    """What was posted is no mail."""


@dataclass(frozen=True)
class Taken:
    """A mail that is there: its id, and a digest of the request that brought it."""

    id: str
    request: str


@dataclass
class Intake:
    """Takes mails into a folder; what is there already is read when the first one comes."""

    folder: Path
    _taken: dict[str, Taken] | None = None
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    def route(self) -> Route:
        """Make the route to it. A page in the browser cannot ask for it: it has to send a header of ours."""
        return Route("/emails", self.post, methods=["POST"])

    async def post(self, request: Request) -> Response:
        """Take a mail, or say that it is there."""
        key, body = request.headers.get("idempotency-key", ""), await request.body()
        if not key or len(body) > LARGEST:
            return _refusal(413 if key else 400)
        try:
            message = _message(body)
        except Unusable:
            return _refusal(422)
        async with self._alone:
            try:
                taken = await asyncio.to_thread(self._take, key, body, message)
            except OSError:
                return _refusal(503)
        if taken.request != _digest(body):
            return _refusal(409)
        return JSONResponse({"id": taken.id})

    def _take(self, key: str, body: bytes, message: EmailMessage) -> Taken:
        if self._taken is None:
            self._taken = _known(self.folder)
        by = _digest(key.encode())
        if by not in self._taken:
            mark = f"X-Known-By: {by} {_digest(body)}\r\n".encode()
            sender, to = parseaddr(message["From"])[1], str(message["To"])
            content = mark + message.as_bytes()
            path = mailbox.store(self.folder, sender, [to], content)
            self._taken[by] = Taken(path.stem, _digest(body))
        return self._taken[by]


def _message(body: bytes) -> EmailMessage:
    try:
        said = json.loads(body)
        texts = {name: said[name] for name in PARTS if isinstance(said[name], str)}
        message = EmailMessage()
        for name in PARTS[:-1]:
            message[name.capitalize()] = texts[name]
        message.set_content(texts["html"], subtype="html")
    except (ValueError, TypeError, KeyError) as error:
        raise Unusable from error
    return message


def _known(folder: Path) -> dict[str, Taken]:
    known = {}
    for path in folder.glob("*.eml"):
        with path.open("rb") as file:
            mark = HEADER.search(file.read(WITHIN))
        if mark:
            known[mark[1].decode()] = Taken(path.stem, mark[2].decode())
    return known


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _refusal(status: int) -> Response:
    return JSONResponse({"message": "This mail was not taken."}, status)
