"""A folder of mails, one file each: stored so that a kill loses none, and read whatever they contain."""

import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from functools import lru_cache
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path

NAME = re.compile(r"\d{20}-[0-9a-f]{8}")
UNREADABLE = "(this mail cannot be read; its source can)"
LONGEST = 2**16
"""So much of an HTML part is read for its text: the parser can take long over what is meant to hurt it."""
BREAKS = {"address", "blockquote", "br", "div", "h1", "h2", "h3", "li", "p", "tr"}


@dataclass(frozen=True)
class Mail:
    """A mail as a person reads it; `text` is taken from the HTML part where there is no other."""

    id: str
    received: datetime
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str = ""


def store(folder: Path, sender: str, recipients: Sequence[str], content: bytes) -> Path:
    """Write a mail to the disk; when this returns, no kill and no power cut can lose it."""
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    half, whole = folder / f"{name}.part", folder / f"{name}.eml"
    with half.open("xb") as file:
        file.write(_envelope(sender, recipients) + content)
        file.flush()
        os.fsync(file.fileno())
    half.rename(whole)
    _sync(folder)
    return whole


def open_folder(folder: Path) -> None:
    """Make the folder, and remove what a kill left half-written: nobody was told that it was taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for half in folder.glob("*.part"):
        half.unlink()


def newest(folder: Path, limit: int) -> list[Mail]:
    """Give the mails that came last, the newest first."""
    names = sorted((path.name for path in folder.glob("*.eml")), reverse=True)
    return [read(folder / name) for name in islice(names, limit)]


def find(folder: Path, name: str) -> Path | None:
    """Give the file of the mail with this id, if there is one."""
    path = folder / f"{name}.eml"
    return path if NAME.fullmatch(name) and path.exists() else None


@lru_cache(256)
def read(path: Path) -> Mail:
    """Read a mail; one that makes no sense is still shown as one."""
    received = datetime.fromtimestamp(int(path.stem[:20]) / 1e9, UTC)
    try:
        return _understood(path, received)
    except Exception:  # noqa: BLE001 - anybody may have written it: the other mails must stay readable
        return Mail(path.stem, received, "", (), UNREADABLE, UNREADABLE)


def _envelope(sender: str, recipients: Sequence[str]) -> bytes:
    # The last line is there for a content that begins with a continuation of the line before it.
    lines = f"Return-Path: <{sender}>", f"Delivered-To: {', '.join(recipients)}"
    kept = [re.sub(r"[\x00-\x1f\x7f]", "", line) for line in (*lines, "X-Stored: yes")]
    return "".join(f"{line}\r\n" for line in kept).encode(errors="replace")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _understood(path: Path, received: datetime) -> Mail:
    message = BytesParser(policy=policy.compat32).parsebytes(path.read_bytes())
    parts = list(_texts(message))
    html = next((text for kind, text in parts if kind == "text/html"), "")
    plain = next((text for kind, text in parts if kind == "text/plain"), None)
    return Mail(
        id=path.stem,
        received=received,
        sender=_header(message, "From") or _header(message, "Return-Path").strip("<>"),
        to=tuple(_header(message, "Delivered-To").split(", ")),
        subject=_header(message, "Subject"),
        text=_without_tags(html) if plain is None else plain,
        html=html,
    )


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    for part in message.walk():
        if part.get_content_maintype() == "text" and not part.get_filename():
            payload = part.get_payload(decode=True)
            content = payload if isinstance(payload, bytes) else b""
            text = _decoded(content, part.get_content_charset())
            yield part.get_content_type(), text.replace("\r\n", "\n")


def _header(message: Message, name: str) -> str:
    value = message.get(name, "")
    try:
        pieces = decode_header(value)
    except HeaderParseError:  # shown as it stands, then
        pieces = [(str(value), None)]
    text = "".join(
        piece if isinstance(piece, str) else _decoded(piece, charset)
        for piece, charset in pieces
    )
    return " ".join(text.split())


def _decoded(content: bytes, charset: str | None) -> str:
    for each in (charset, "utf-8"):
        # Unknown, no text, or not what it says; some give what no page can be written in.
        with suppress(LookupError, ValueError):
            return content.decode(each or "utf-8").encode(errors="replace").decode()
    return content.decode("latin-1")


class _Text(HTMLParser):
    """Collects what a page says, without its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.hidden += tag in ("script", "style", "title")
        self.pieces += "\n" if tag in BREAKS else ""

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style", "title") and self.hidden > 0
        self.pieces += "\n" if tag in BREAKS else ""

    def handle_data(self, data: str) -> None:
        self.pieces += [] if self.hidden else [data]


def _without_tags(html: str) -> str:
    parser = _Text()
    parser.feed(html[:LONGEST])
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
