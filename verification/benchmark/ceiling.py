"""What RabbitMQ itself carries: its own load program, with queues and messages as durable as everybody's here."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from verification.benchmark import stage, tools

SIZE, SECONDS = 850, 6
"""Bytes of a message, as long as an event; and how long each run takes."""
WINDOWS = (1, 50)
"""Messages that may be unconfirmed: what Dapr's component allows itself, and what a client could."""
RECEIVED = re.compile(r"receiving rate avg: (\d+) msg/s")


def ceiling() -> Iterator[str]:
    """Yield what one producer and one consumer reach on a quorum queue, in a line for each window."""
    jars = tools.perf_test()
    with (
        TemporaryDirectory(dir=stage.LOCAL) as folder,
        stage.rabbitmq_alone(Path(folder)) as uri,
    ):
        for window in WINDOWS:
            asked = ["--uri", uri, "--quorum-queue", "--queue", f"ceiling-{window}"]
            asked += ["--confirm", str(window), "--qos", "50", "--size", str(SIZE)]
            asked += ["--time", str(SECONDS), "--flag", "persistent"]
            program = ["java", "-cp", jars, "com.rabbitmq.perf.PerfTest", *asked]
            ran = subprocess.run(program, capture_output=True, text=True, check=True)
            found = RECEIVED.search(ran.stdout)
            rate = found[1] if found else "?"
            yield f"RabbitMQ alone, {window} unconfirmed: {rate} messages/s"
