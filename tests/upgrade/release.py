"""What a release leaves behind: both services' databases after a short life, as a folder of text.

orders.json                    what the life was about, and when it was
order.sqlite.sql and so on     each service's database, on each of the two
samples.json                   the golden samples of every event version that was published
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.database import on_postgresql, secrets_in, url_in
from tests.support.delivering import deliver, order_created, signed
from tests.support.eventually import eventually
from tests.support.postgresql import databases
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from tests.upgrade.dumps import dump

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "contracts" / "samples"
SERVICES, DATABASES = ("order", "notification"), ("sqlite", "postgresql")
JANE = {"customerName": "Jane Doe"}
JOERG = {"customerName": "Jörg Müller", "customerEmail": "joerg@example.org"}
GONE = {"customerName": "Gerda Gone", "customerEmail": "gerda@example.org"}
LATE = {"customerName": "Lena Late", "customerEmail": "lena@example.org"}
KEY = "0b8f6f4e-5d0a-4b5e-9f43-6a1f6f8f0c11"
"""The Idempotency-Key of Jane's order."""


@dataclass
class Life:
    """What a release's databases hold: who ordered, under which ids, and the event that failed for good."""

    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    orders: dict[str, str] = field(default_factory=dict)
    dead: str = ""

    async def order(
        self, service: Service, body: dict[str, str], **headers: str
    ) -> None:
        """Place an order, and remember its id."""
        answer = await service.http.post("/api/order", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        self.orders[body["customerName"]] = answer.json()["orderId"]


async def shown(service: Service, path: str) -> list[dict[str, Any]]:
    """Return what a list of a service shows."""
    items: list[dict[str, Any]] = (await service.http.get(path)).json()["items"]
    return items


async def all_are_sent(order: Service, number: int) -> None:
    """Wait until so many orders are shown as notified."""

    async def are_sent() -> bool:
        return len(await shown(order, "/api/order?state=SENT")) == number

    await eventually(are_sent, f"{number} orders are notified")


async def lived(folder: Path) -> Life:
    """Run both services for a while; return what it was about.

    Three orders are notified, by mail and on the console, and one of their customers is erased; an event fails for
    good. The last order is placed while neither the broker nor the notification service is there.
    """
    life, dapr = Life(), SimulatedDapr()
    async with order_service(folder, dapr) as order:
        async with notification_service(folder, dapr) as notification:
            await life.order(order, JANE, **{"idempotency-key": KEY})
            await life.order(order, JOERG)
            await life.order(order, GONE)
            await all_are_sent(order, 3)
            again = order_created()
            for event in (again, signed({**again, "id": "another-of-this-order"})):
                assert await deliver(notification, event) == "SUCCESS"
            (letter,) = await shown(notification, "/api/dead-letter")
            life.dead = letter["eventId"]
            await _erase(order, notification)
        dapr.available = False
        await life.order(order, LATE)
    return life


async def _erase(order: Service, notification: Service) -> None:
    body = {"customerEmail": GONE["customerEmail"], "by": "Ada", "reason": "4711"}
    answer = await order.http.post("/api/customer/erase", json=body)
    assert answer.status_code == 200, answer.text

    async def is_erased() -> bool:
        texts = [
            each["text"] for each in await shown(notification, "/api/notification")
        ]
        return not any("Gerda" in text for text in texts)

    await eventually(is_erased, "the notification service has erased the customer")


@contextmanager
def each_database() -> Iterator[Iterator[str]]:
    """Yield the two databases, one after the other; what is opened meanwhile is on that one."""
    with ExitStack() as stack:

        def one_after_the_other() -> Iterator[str]:
            yield "sqlite"
            stack.enter_context(on_postgresql(stack.enter_context(databases())))
            yield "postgresql"

        yield one_after_the_other()


def make(release: Path, scratch: Path) -> None:
    """Write a release's folder."""
    release.mkdir(parents=True)
    lives = {}
    with each_database() as kinds:
        for kind in kinds:
            folder = secrets_in(_made(scratch / kind))
            lives[kind] = asdict(asyncio.run(lived(folder)))
            for service in SERVICES:
                text = dump(url_in(folder, service))
                (release / f"{service}.{kind}.sql").write_text(text, encoding="utf-8")
    _write(release / "orders.json", lives)
    _write(release / "samples.json", samples())


def samples() -> dict[str, str]:
    """Return the golden samples, by their names."""
    return {each.name: each.read_text("utf-8") for each in sorted(SAMPLES.iterdir())}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _write(file: Path, document: object) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")


def life_of(release: Path, kind: str) -> Life:
    """Return what a release's databases of this kind are about."""
    return Life(**json.loads((release / "orders.json").read_text("utf-8"))[kind])
