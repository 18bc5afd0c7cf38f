"""The customers: vegeta, compiled, in a process of its own."""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.request import Request, urlopen

ORDER = b'{"customerName": "Jane Doe"}'


@dataclass(frozen=True)
class Load:
    """So many customers, each of whom waits for an answer and orders again; or a fixed rate."""

    seconds: float
    clients: int = 0
    rate: int = 0

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.rate} orders/s" if self.rate else f"{self.clients} clients"

    def options(self) -> list[str]:
        """Return it as vegeta's options; an open loop starts another worker rather than be late."""
        duration = f"-duration={self.seconds}s"
        if self.rate:
            return [duration, f"-rate={self.rate}"]
        workers = [f"-workers={self.clients}", f"-max-workers={self.clients}"]
        return [duration, "-rate=0", *workers]


@dataclass(frozen=True)
class Answer:
    """An answer: when the order was sent, and how long it took, in seconds; no id where it was refused."""

    sent: float
    took: float
    order_id: str | None


def attack(vegeta: Path, url: str, load: Load) -> list[Answer]:
    """Place orders under this load, and return all answers."""
    with NamedTemporaryFile(suffix=".json") as body:
        body.write(ORDER)
        body.flush()
        header = "-header=content-type: application/json"
        options = [header, f"-body={body.name}", *load.options()]
        target = f"POST {url}\n".encode()
        results = _run(vegeta, ["attack", *options], target)
    return list(_answers(_run(vegeta, ["encode", "-to=json"], results)))


def _run(vegeta: Path, arguments: list[str], stdin: bytes) -> bytes:
    command = [str(vegeta), *arguments]
    ended = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True)
    return ended.stdout


def place_one(url: str) -> None:
    """Place a single order, whatever becomes of it."""
    headers = {"content-type": "application/json"}
    with suppress(OSError), urlopen(Request(url, ORDER, headers), timeout=10):
        pass


def _answers(results: bytes) -> Iterator[Answer]:
    for line in results.splitlines():
        result = json.loads(line)
        sent = datetime.fromisoformat(result["timestamp"]).timestamp()
        # Dapr can answer 2xx with nothing in it for a dead app: an order counts with its id alone.
        body = base64.b64decode(result["body"] or "")
        accepted = result["code"] == 201 and body
        order_id = json.loads(body)["orderId"] if accepted else None
        yield Answer(sent, result["latency"] / 1e9, order_id)
