"""The tool chain's output in the terminal: one look for what is done, under way, doubtful and failed."""

import os
import sys
from contextlib import suppress

MARKS = {"done": "+", "busy": ".", "warning": "!", "failed": "x"}
COLOURS = {"done": "32", "busy": "36", "warning": "33", "failed": "31"}

_only_what_takes_time = False


def only_what_takes_time() -> None:
    """From now on leave out what is unchanged: what is there, and its warnings."""
    global _only_what_takes_time  # noqa: PLW0603 - a program has one terminal
    _only_what_takes_time = True


def done(part: str, text: str) -> None:
    """Print that a part is there."""
    if not _only_what_takes_time:
        _line("done", part, text)


def busy(part: str, text: str) -> None:
    """Print what takes time now, and why."""
    _line("busy", part, text)


def warning(part: str, text: str) -> None:
    """Print what works but should be known."""
    if not _only_what_takes_time:
        _line("warning", part, text)


def failed(what: str, why: str, remedy: str) -> None:
    """Print what failed, why, and what to do."""
    plainly(f"\n  {_mark('failed')} {what}")
    for text in (why, remedy):
        plainly("".join(f"    {line}\n" for line in text.splitlines()).rstrip("\n"))


def plainly(text: str) -> None:
    """Print text as it is, as far as the terminal's encoding can show it."""
    encoding = sys.stdout.encoding or "ascii"
    # A terminal that was closed must not keep us from ending what we started. Flushed at once: set-up is
    # often watched through a pipe, where a line that waits looks like a hang.
    with suppress(OSError):
        print(text.encode(encoding, "replace").decode(encoding), flush=True)


def _line(kind: str, part: str, text: str) -> None:
    first, *others = text.splitlines()
    plainly(f"  {_mark(kind)} {part:<9} {first}")
    for line in others:
        plainly(f"    {'':<9} {line}")


def _mark(kind: str) -> str:
    dumb = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if dumb or not sys.stdout.isatty():
        return MARKS[kind]
    return f"\x1b[{COLOURS[kind]}m{MARKS[kind]}\x1b[0m"
