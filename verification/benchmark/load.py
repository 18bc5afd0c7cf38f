"""The customers: vegeta, compiled, in a process of its own."""

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.request import Request, urlopen

ORDER = b'{"customerName": "Jane Doe"}'


@dataclass(frozen=True)
class Load:
    """So many customers, each of whom waits for an answer and orders again; or a fixed rate.

    A `rate` is in orders a second, `share` one in parts of what the first load has reached. With `orders` it goes
    on until so many were accepted; with `waits`, the notification service is started only then.
    """

    seconds: float
    clients: int = 0
    rate: int = 0
    share: float = 0.0
    orders: int = 0
    waits: bool = False

    @property
    def name(self) -> str:
        """What the report calls it."""
        if self.share:
            return f"{self.share:g} times saturation"
        if self.orders:
            return f"{self.orders} orders" + (" that waited" if self.waits else "")
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
    """An answer: when the order was sent, and how long it took, in seconds; no id where it was not accepted.

    It is `refused` where it was answered 429 or 503, and `said_when` where that named a time to try again.
    """

    sent: float
    took: float
    order_id: str | None
    refused: bool = False
    said_when: bool = False


def attack(vegeta: Path, urls: Sequence[str], load: Load) -> list[Answer]:
    """Place orders under this load, at these addresses in turn, and return all answers."""
    answers: list[Answer] = []
    while not answers or sum(1 for a in answers if a.order_id) < load.orders:
        came = _attack_once(vegeta, urls, load)
        answers += came
        if not any(a.order_id for a in came):
            break
    return answers


def _attack_once(vegeta: Path, urls: Sequence[str], load: Load) -> list[Answer]:
    with NamedTemporaryFile(suffix=".json") as body:
        body.write(ORDER)
        body.flush()
        header = "-header=content-type: application/json"
        options = [header, f"-body={body.name}", *load.options()]
        targets = "".join(f"POST {url}\n" for url in urls).encode()
        results = _run(vegeta, ["attack", *options], targets)
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
        refused = result["code"] in {429, 503}
        said_when = refused and "Retry-After" in (result["headers"] or {})
        yield Answer(sent, result["latency"] / 1e9, order_id, refused, said_when)
