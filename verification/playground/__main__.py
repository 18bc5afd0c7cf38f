"""Runs the crash playground until Ctrl-C: python -m verification.playground --broker redis --port 8090."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvicorn

from toolchain import runfile
from toolchain.machine import ports, terminal
from toolchain.machine.failure import EX_CONFIG, Failure, exit_status
from toolchain.run import BROKERS, STOPS_WITHIN
from toolchain.supervise import descendants
from verification.chaos.plan import Setting
from verification.playground.engine import Playground, working
from verification.playground.page import create_app
from verification.playground.scenarios import BY_NAME
from verification.playground.side import running

PORT = 8090
IDLE = 3600.0
"""Seconds without a click after which the playground ends by itself."""
SIGNS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@dataclass
class Ending:
    """How this process is asked to end: while it starts, by giving that up; later, through its server."""

    task: asyncio.Task[None]
    server: uvicorn.Server | None = None
    is_asked: bool = False

    def ask(self) -> None:
        """End everything in good order; asked again, nothing more is done."""
        if self.server:
            self.server.should_exit = True
        elif not self.is_asked:
            self.task.cancel()
        self.is_asked = True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="verification.playground", description=__doc__
    )
    parser.add_argument("--broker", choices=[*BROKERS], default=runfile.BROKER)
    parser.add_argument("--port", type=int, default=PORT, help="of the page")
    play = "play this scenario, print its verdict, and end; may be given several times"
    names = [*BY_NAME]
    parser.add_argument("--play", action="append", choices=names, default=[], help=play)
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    ending = Ending(_this_task())
    loop = asyncio.get_running_loop()
    for sign in SIGNS:
        loop.add_signal_handler(sign, ending.ask)
    try:
        await _serve(options, ending)
    except asyncio.CancelledError:
        if not ending.is_asked:
            raise
    finally:
        terminal.busy("stop", "both programs and their brokers end")


def _this_task() -> asyncio.Task[None]:
    task: asyncio.Task[None] | None = asyncio.current_task()
    assert task
    return task


async def _serve(options: argparse.Namespace, ending: Ending) -> None:
    setting = Setting(options.broker)
    terminal.busy("ours", "its broker, sidecars and services start: about 10 s")
    async with running(setting) as ours:
        terminal.busy("ordinary", "so does the ordinary program beside it")
        other = Setting(options.broker, ordinary=True)
        async with running(other) as ordinary:
            playground = Playground([ours, ordinary])
            async with working(playground):
                if options.play:
                    await _play(playground, options.play)
                else:
                    await _show(playground, options.port, ending)


async def _play(playground: Playground, names: Sequence[str]) -> None:
    for name in names:
        verdict = await playground.play_to_its_end(name)
        terminal.plainly(f"  {BY_NAME[name].title}\n    {verdict}")


async def _show(playground: Playground, port: int, ending: Ending) -> None:
    app = create_app(playground, lambda: ending.is_asked or server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
    )
    ending.server = server
    watching = asyncio.create_task(_end_when_idle(playground, ending.ask))
    page = f"http://127.0.0.1:{port}/"
    terminal.plainly(f"\n  Open {page}\n  Ctrl-C ends all of it.\n")
    try:
        await server.serve()
    finally:
        watching.cancel()


async def _end_when_idle(
    playground: Playground, end: Callable[[], None], idle: float = IDLE
) -> None:
    while (left := playground.touched + idle - time.monotonic()) > 0:  # noqa: ASYNC110 - it is time that passes
        await asyncio.sleep(left)
    terminal.plainly("  An hour without a click: it ends by itself.")
    end()


def _work(options: argparse.Namespace) -> None:
    if not runfile.is_free(options.port):
        raise Failure(
            f"Port {options.port} is taken",
            f"{ports.holder(options.port)}, listens there: another `make playground`?",
            "End that one, or use another port: make playground OFFSET=1000",
            EX_CONFIG,
        )
    asyncio.run(_run(options))


def main() -> int:
    """Run the playground, and leave nothing of it behind."""
    options = _arguments()
    descendants.adopt_orphans()
    try:
        return exit_status(lambda: _work(options))
    finally:
        for sign in SIGNS:
            signal.signal(sign, signal.SIG_IGN)
        # What was being started just when it was asked to end is known to nobody else.
        while left := descendants.children(os.getpid()):
            descendants.end(left, STOPS_WITHIN)


if __name__ == "__main__":
    sys.exit(main())
