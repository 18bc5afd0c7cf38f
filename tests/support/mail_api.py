"""A mail API for tests: it accepts each key once, or does to requests whatever a test wants."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tests.support.mail_server import FOR_EVER, HOST

PATH = "/emails"


@dataclass(frozen=True)
class Deed:
    """What is done to a request: whether its mail is accepted first, how long the answer waits, what it is."""

    status: int = 200
    takes: bool = False
    delay: float = 0.0
    drop: bool = False
    location: str = ""


YES = Deed(takes=True)
LOST_ANSWER = Deed(takes=True, drop=True)
LOST_REQUEST = Deed(drop=True)
NEVER_ANSWERED = Deed(takes=True, delay=FOR_EVER)


@dataclass(frozen=True)
class Posted:
    """One mail that was accepted."""

    sender: str
    to: str
    subject: str
    html: str


@dataclass
class MailApi:
    """The mails that were accepted, by key; the keys of all requests, in order; and how many were answered so.

    `deeds` are done to the mails of a recipient, or to all where "" has one.
    """

    taken: dict[str, Posted] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    accepted: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    deeds: dict[str, Deed] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def to(self, recipient: str) -> list[Posted]:
        """Return the mails that were accepted for a recipient."""
        return [each for each in self.taken.values() if each.to == recipient]

    def tries(self, recipient: str) -> int:
        """Return how often a mail that was accepted for a recipient was requested."""
        keys = [key for key, each in self.taken.items() if each.to == recipient]
        return sum(self.asked.count(key) for key in keys)

    def take(self, headers: dict[str, str], body: bytes) -> Deed:
        """Handle a request, whose headers are in lower case; return what is done with it."""
        key = headers.get("idempotency-key", "")
        posted = _posted(body)
        if not key or posted is None:
            return Deed(400)
        with self._alone:
            self.asked.append(key)
            self.headers.append(headers)
            deed = self.deeds.get(posted.to) or self.deeds.get("") or YES
            if self.taken.get(key, posted) != posted:
                return Deed(409)
            if deed.takes:
                self.taken[key] = posted
            self.accepted += deed.takes and not deed.drop
        return deed


def _posted(body: bytes) -> Posted | None:
    try:
        mail = json.loads(body)
    except ValueError:
        return None
    fields = {"from", "to", "subject", "html"}
    if not isinstance(mail, dict) or mail.keys() != fields or not all(mail.values()):
        return None
    return Posted(mail["from"], mail["to"], mail["subject"], mail["html"])


def words(deed: Deed) -> bytes:
    """Return the body of an answer, as such services word it."""
    return json.dumps({"message": f"said with {deed.status}"}).encode()


class _Answering(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    api: ClassVar[MailApi]

    def do_POST(self) -> None:
        """Handle a mail."""
        body = self.rfile.read(int(self.headers["content-length"]))
        lowered = {name.lower(): value for name, value in self.headers.items()}
        self._do(self.api.take(lowered, body))

    def do_GET(self) -> None:
        """Answer, as every server does somewhere."""
        self._do(Deed())

    def _do(self, deed: Deed) -> None:
        self.api.ending.wait(deed.delay)
        if deed.drop or self.api.ending.is_set():
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        # Of what follows a 204 or a 304, a client on the same connection reads the next answer.
        body = b"" if deed.status in (204, 304) else words(deed)
        self.send_response(deed.status)
        if self.close_connection:
            self.send_header("connection", "close")
        if deed.location:
            self.send_header("location", deed.location)
        self.send_header("content-type", "application/json")
        if body:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002, ANN401 - its signature
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    """The server; who hung up before the answer is no error."""

    def handle_error(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving_api(api: MailApi, port: int) -> Iterator[None]:
    """Serve an API on this port, from threads of its own: it answers whatever a test waits for."""
    api.ending.clear()
    server = _Server((HOST, port), type("Answering", (_Answering,), {"api": api}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        api.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()
