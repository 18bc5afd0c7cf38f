"""The tool chain's output in the terminal: one look for what is done, under way, doubtful and failed."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from chassis.text import escaped

MARKS = {"done": "+", "busy": ".", "warning": "!", "failed": "x"}
COLOURS = {"done": "32", "busy": "36", "warning": "33", "failed": "31"}

_only_what_takes_time = False
_say: Callable[[str], None] | None = None
_report: Callable[[str, str, str], None] | None = None


def only_what_takes_time() -> None:
    """From now on leave out what is unchanged: what is there, and its warnings."""
    global _only_what_takes_time  # noqa: PLW0603 - a program has one terminal
    _only_what_takes_time = True


@contextmanager
def shown_by(
    say: Callable[[str], None], report: Callable[[str, str, str], None]
) -> Iterator[None]:
    """Hand what is printed in the body to others: text as it is, and kind, part and text of a line."""
    global _say, _report  # noqa: PLW0603 - a program has one terminal
    _say, _report = say, report
    try:
        yield
    finally:
        _say = _report = None


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


def failed_part(part: str, text: str) -> None:
    """Print that a part is not there any more, and what to do."""
    _line("failed", part, text)


def failed(what: str, why: str, remedy: str) -> None:
    """Print what failed, why, and what to do."""
    plainly(f"\n  {_mark('failed')} {what}")
    for text in (why, remedy):
        lines = (f"    {escaped(line)}" for line in text.splitlines())
        plainly("\n".join(lines))


def plainly(text: str) -> None:
    """Print text as it is, as far as the terminal's encoding can show it."""
    if _say:
        _say(text)
        return
    encoding = sys.stdout.encoding or "ascii"
    # A terminal that was closed must not keep us from ending what we started. Flushed at once: set-up is
    # often watched through a pipe, where a line that waits looks like a hang.
    with suppress(OSError):
        print(text.encode(encoding, "replace").decode(encoding), flush=True)


def _line(kind: str, part: str, text: str) -> None:
    if _report:
        _report(kind, part, text)
        return
    first, *others = map(escaped, text.splitlines())
    plainly(f"  {_mark(kind)} {part:<9} {first}")
    for line in others:
        plainly(f"    {'':<9} {line}")


def _mark(kind: str) -> str:
    return marked(kind, MARKS[kind])


def has_colours() -> bool:
    """Return whether somebody looks who wants colours."""
    dumb = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not dumb and sys.stdout.isatty()


def marked(kind: str, text: str) -> str:
    """Return text in the colour of what is done, under way, doubtful or failed."""
    return _coloured(COLOURS[kind], text)


def dimmed(text: str) -> str:
    """Return text that is read second."""
    return _coloured("2", text)


def strong(text: str) -> str:
    """Return text that is read first."""
    return _coloured("1", text)


def _coloured(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if has_colours() else text
