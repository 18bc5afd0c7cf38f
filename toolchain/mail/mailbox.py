"""A folder of mails, one file each: stored so that a kill loses none, and read whatever they contain."""

import os
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from html import unescape
from itertools import islice
from pathlib import Path

BLOCK = re.compile(r"<(?:br|div|h1|h2|li|p|tr)\b[^>]*>", re.IGNORECASE)
MARKUP = re.compile(r"<(style|script|title)\b.*?</\1>|<[^>]*>", re.DOTALL | re.I)
UNREADABLE = "(this mail cannot be parsed; its source is kept)"


@dataclass(frozen=True)
class Mail:
    """A mail as a person reads it; `text` is taken from the HTML part where there is no other."""

    file: str
    received: datetime
    sender: str
    to: str
    subject: str
    text: str


def new_name() -> str:
    """Return a name for a mail: those made later sort after it."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"


def store(
    folder: Path,
    sender: str,
    recipients: Sequence[str],
    content: bytes,
    name: str | None = None,
) -> Path:
    """Write a mail to the disk; raises FileExistsError where there is one of this name.

    When this returns, no kill and no power cut can lose it.
    """
    half = folder / f"{new_name()}.part"
    whole = folder / f"{name or new_name()}.eml"
    with half.open("xb") as file:
        file.write(_envelope(sender, recipients) + content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(half, whole)  # unlike a rename, it replaces nothing
    finally:
        half.unlink()
    _sync(folder)
    return whole


def open_folder(folder: Path) -> None:
    """Make the folder, and remove what a kill left half written: its sender was not answered."""
    folder.mkdir(parents=True, exist_ok=True)
    for half in folder.glob("*.part"):
        half.unlink()


def newest(folder: Path, limit: int) -> list[Mail]:
    """Return the mails that came last, the newest first."""
    paths = sorted(folder.glob("*.eml"), key=_received, reverse=True)
    return [read(path) for path in islice(paths, limit)]


def read(path: Path) -> Mail:
    """Read a mail; one that makes no sense is still shown as one."""
    received = datetime.fromtimestamp(_received(path) / 1e9, UTC)
    try:
        return _parsed(path, received)
    except Exception:  # noqa: BLE001 - anybody may have written it: the other mails must stay readable
        return Mail(path.name, received, "", "", UNREADABLE, UNREADABLE)


def _received(path: Path) -> int:
    return path.stat().st_mtime_ns


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


def _parsed(path: Path, received: datetime) -> Mail:
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    part = message.get_body(("plain", "html"))
    text = str(part.get_content()).replace("\r\n", "\n") if part else ""
    if part and part.get_content_type() == "text/html":
        text = _without_markup(text)
    sender = message["From"] or str(message["Return-Path"]).strip("<>")
    return Mail(
        path.name,
        received,
        str(sender),
        str(message["Delivered-To"]),
        str(message["Subject"] or ""),
        text,
    )


def _without_markup(html: str) -> str:
    text = unescape(MARKUP.sub("", BLOCK.sub("\n", " ".join(html.split()))))
    return "\n".join(filter(None, (line.strip() for line in text.splitlines())))
