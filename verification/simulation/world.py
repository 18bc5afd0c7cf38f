"""The world of one run: two services that are started again when they die, their sidecars, and customers."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import httpx
from fastapi import FastAPI

from chassis.dapr.sidecar import Sidecar
from services.notification import app as notification
from services.order import app as order
from tests.support.carried import Carried
from tests.support.in_process import InProcess
from tests.support.mail_api import MailApi
from verification.simulation.broker import Broker
from verification.simulation.chance import Chance
from verification.simulation.faults import Faults
from verification.simulation.process import Answer, Died, Process
from verification.simulation.profiles import PROFILES
from verification.simulation.schedule import SECONDS, SERVICES, Schedule
from verification.simulation.sidecars import Address, Sidecars, Transport
from verification.simulation.sqlite import share_statements

LONGEST_CALM = 16.0
"""The longest that a loop waits, in seconds, before it looks for work without a signal."""
PATIENCE = 10.0
"""Seconds that a customer waits for an answer."""
IN_A_RUSH = 3
"""Of four customers, so many order at the same moment."""


@dataclass(frozen=True)
class Ordered:
    """An order that was answered 201 with its id."""

    id: str
    customer: str
    email: str | None


@dataclass
class World:
    """Everything of one run; its databases are in `folder`."""

    schedule: Schedule
    folder: Path
    trace: list[str] = field(default_factory=list)
    accepted: list[Ordered] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    alive: dict[str, Process] = field(default_factory=dict)
    skew: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SERVICES, 0.0))
    disk_full_until: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(SERVICES, 0.0)
    )
    on_crash: Callable[[str], None] = lambda _: None
    calm: float = 1.0

    def __post_init__(self) -> None:
        """Put the parts together; nothing runs yet."""
        self.faults = Faults(self.schedule.faults)
        addresses = {each: Address(self._alive(each)) for each in SERVICES}
        parts = (self.faults.take, self.note)
        transport = InProcess(addresses["notification"].strict)
        habits = PROFILES[self.schedule.profile].habits
        # Units of work that come at once share a transaction (chassis/database/group_commit.py).
        self.rush = self.chance("rush").between(0.0, SECONDS)
        self.broker = Broker(transport, habits, self.chance("broker"), *parts)
        api = MailApi() if self.schedule.mails_by_api else None
        chance = self.chance("sidecars")
        self.sidecars = Sidecars(self.broker, chance, *parts, addresses, api=api)

    def chance(self, actor: str) -> Chance:
        """Return the chance of one actor."""
        return Chance(self.schedule.seed, actor)

    def note(self, what: str) -> None:
        """Add what happened to the trace, and when."""
        self.trace.append(f"{asyncio.get_running_loop().time():.4f} {what}")

    def digest(self) -> str:
        """Return what tells this run from every other."""
        return blake2b("\n".join(self.trace).encode(), digest_size=16).hexdigest()

    def _alive(self, service: str) -> Callable[[], Process | None]:
        def found() -> Process | None:
            process = self.alive.get(service)
            return process if process and process.is_serving else None

        return found

    async def keep(self, service: str) -> None:
        """Keep a service running as the supervisor does: start it again some seconds after it ends."""
        chance, life = self.chance(f"supervisor of {service}"), 0
        while True:
            life += 1
            of_life = self.chance(f"{service} {life}")
            process = Process(
                service,
                of_life,
                lambda: self.skew[service],
                self._on_point,
                self._trouble,
                self.calm,
            )
            self.alive[service] = process
            self.note(f"{service} starts")
            process.start(lambda process=process: self._make(process))  # type: ignore[misc]
            if service == "notification":
                self._subscribing = asyncio.create_task(self._subscribe(process))
            await process.ended.wait()
            await asyncio.sleep(chance.between(1.0, 5.0))

    def _on_point(self, process: Process, where: str) -> bool:
        if not self.faults.kills(process.name):
            return False
        self.note(f"{process.name} dies {where}")
        self.on_crash(process.name)
        return True

    def _trouble(self, process: Process, what: str) -> str:
        act = self.faults.take(what)
        is_full = self.disk_full_until[process.name] > self._now()
        return "full" if is_full and what == "commit" else act

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _make(self, process: Process) -> FastAPI:
        app = self._app_of(process)
        share_statements(app.state.parts.database.engine)
        return app

    def grow_calm(self) -> float:
        """Double the least interval of all loops; return it, in seconds.

        Each look at nothing costs as much as one at something, and most of a run would be looks at nothing.
        """
        self.calm = min(2 * self.calm, LONGEST_CALM)
        for process in self.alive.values():
            process.grow_calm(self.calm)
        return self.calm

    def _app_of(self, process: Process) -> FastAPI:
        sidecar = Sidecar(
            "http://sidecar", wire=Carried(Transport(process, self.sidecars))
        )
        url = f"sqlite:///{self.folder}/{process.name}.db"
        if process.name == "order":
            return order.create_app(
                order.Settings.model_construct(
                    database_url=url, secrets_folder=self.folder
                ),
                sidecar,
            )
        settings = notification.Settings.model_construct(
            database_url=url,
            secrets_folder=self.folder,
            unknown_mail=self.schedule.unknown_mail,
        )
        return notification.create_app(settings, sidecar)

    async def _subscribe(self, process: Process) -> None:
        await process.ready.wait()
        try:
            answer = await process.ask(scope("GET", "/dapr/subscribe"))
        except Died:
            return
        listed = json.loads(answer.body)
        self.broker.subscriptions = {each["topic"]: each for each in listed}

    async def customer(self, number: int) -> None:
        """Order once, and again until that is answered with 201 and an id."""
        chance = self.chance(f"customer {number}")
        email = f"c{number}@example.org" if chance.number(0, 1) else None
        name = f"Customer {number}"
        in_a_rush = chance.number(1, 4) <= IN_A_RUSH
        alone = chance.between(0.0, SECONDS)
        await asyncio.sleep(self.rush if in_a_rush else alone)
        while True:
            order_id = await self._orders(name, email)
            if order_id:
                break
            await asyncio.sleep(chance.between(0.3, 1.5))
        self.accepted.append(Ordered(order_id, name, email))
        self.note(f"{name} has {order_id}")

    async def _orders(self, name: str, email: str | None) -> str | None:
        body = json.dumps({"customerName": name, "customerEmail": email}).encode()
        act = self.faults.take("order")
        if act == "empty" or self.sidecars.is_down("order"):
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self.sidecars.addresses["order"].ask(
                    scope("POST", "/api/order"), body
                )
        except (Died, TimeoutError, httpx.ConnectError):
            return None
        return None if act else _order_id(answer)


def scope(method: str, path: str) -> dict[str, object]:
    """Return the ASGI scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "server": ("127.0.0.1", 80),
        "client": ("customer", 1),
        "root_path": "",
    }


def _order_id(answer: Answer) -> str | None:
    # To ask again would be of no use, and would never end in virtual time.
    assert not 400 <= answer.status < 500, answer
    if answer.status != 201 or not answer.body:
        return None
    return str(json.loads(answer.body)["orderId"])
