"""Run Prometheus and a viewer of traces beside a system, in the foreground; Ctrl-C ends both."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from toolchain import runfile
from toolchain.machine import Machine, terminal, this_machine
from toolchain.machine.failure import Failure
from toolchain.observe import otlp, zipkin
from toolchain.run import LOOKS_EVERY, Interrupted, alone, chosen
from toolchain.runfile import System
from toolchain.servers import prometheus
from toolchain.servers import zipkin as viewers
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer

PORTS = ("otlp", "zipkin", "prometheus")


def main() -> None:
    """Run them until Ctrl-C."""
    sys.exit(alone(lambda: observe(this_machine(), chosen())))


def observe(machine: Machine, system: System) -> None:
    """Run them until Ctrl-C, and print where they are."""
    with suppress(Interrupted), running(machine, system) as servers:
        terminal.plainly(welcome(system))
        while True:
            for each in servers:
                server.keep(each)
            time.sleep(LOOKS_EVERY)


@contextmanager
def running(machine: Machine, system: System) -> Iterator[list[RunningServer]]:
    """Run both, and what receives traces for the one; they are stopped at the end."""
    for name in PORTS:
        if not runfile.is_free(system.port(name)):
            raise Failure(
                f"Port {system.port(name)} is taken",
                "Another `make observe`, or another program, listens there.",
                f"End that one, or observe a second system: make observe OFFSET={system.offset + 1000}",
            )
    viewer, metrics = system.port("zipkin"), system.port("prometheus")
    folder = (system.state / "zipkin").absolute()
    traces = viewers.server_in(machine, folder, viewer)
    measures = prometheus.server_in(machine, system, metrics)
    terminal.busy("observe", "Zipkin and Prometheus start: some seconds")
    with (
        server.running(traces) as one,
        server.running(measures) as other,
        otlp.receiving(
            system.port("otlp"),
            lambda body: zipkin.send(otlp.parse(body), f"127.0.0.1:{viewer}"),
        ),
    ):
        yield [one, other]


def welcome(system: System) -> str:
    """Return where to look, and how a system exports to it."""
    variables = "\n".join(
        f"    export {name}='{value}'" for name, value in runfile.exporting(system).items()
    )  # fmt: skip
    run = f"make run OFFSET={system.offset}" if system.offset else "make run"
    return (
        f"\n  Traces   http://127.0.0.1:{system.port('zipkin')}/zipkin\n"
        f"  Metrics  http://127.0.0.1:{system.port('prometheus')}\n\n"
        f"  `{run}` exports to them from its start: start it now, or again. By hand, type before `dapr run`:\n"
        f"{variables}\n"
        "  Ctrl-C ends both.\n"
    )


if __name__ == "__main__":
    main()
