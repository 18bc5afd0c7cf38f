"""Lines for a terminal, written by a thread of their own: who has something to print never waits for a reader."""

import os
import queue
import threading
from collections.abc import Callable
from typing import TextIO

MOST = 10_000
"""Lines that wait for a reader; past so many, further ones are counted, and dropped."""
AT_ONCE = 200
"""Lines that one write has at most."""


class LineWriter:
    """Writes lines to a stream; `failed` is told what a write raised.

    The thread is a daemon and holds no lock of the stream's: a process that ends does not wait for a terminal that
    nobody reads.
    """

    def __init__(
        self, stream: Callable[[], TextIO], failed: Callable[[Exception], object]
    ) -> None:
        self._stream = stream
        self._failed = failed
        self._lines: queue.Queue[str] = queue.Queue(MOST)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def put(self, *lines: str) -> None:
        """Write lines, each without its end, soon."""
        if self._thread is None:
            self._start()
        try:
            for line in lines:
                self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self, seconds: float) -> bool:
        """Wait so long for what is to be written; return whether that is all written."""
        with self._lines.all_tasks_done:
            return self._lines.all_tasks_done.wait_for(
                lambda: not self._lines.unfinished_tasks, seconds
            )

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="lines", daemon=True
                )
                self._thread.start()

    def _work(self) -> None:
        while True:
            lines = [self._lines.get()]
            while len(lines) < AT_ONCE and not self._lines.empty():
                lines.append(self._lines.get())
            try:
                _write(self._stream(), "".join(f"{each}\n" for each in lines))
                self._report()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next lines are tried
                self._failed(error)
            for _ in lines:
                self._lines.task_done()

    def _report(self) -> None:
        if self._dropped and self._lines.empty():
            dropped, self._dropped = self._dropped, 0
            text = f"{dropped} lines were dropped: nobody read them in time\n"
            _write(self._stream(), text)


def _write(stream: TextIO, text: str) -> None:
    # What the terminal's encoding lacks would otherwise cost the other lines too.
    encoding = stream.encoding or "utf-8"
    content = text.encode(encoding, "backslashreplace")
    try:
        file = stream.fileno()
    except OSError:  # it is no file
        stream.write(content.decode(encoding))
        stream.flush()
        return
    # Not through the stream, whose lock would be held while nobody reads.
    while content:
        content = content[os.write(file, content) :]
