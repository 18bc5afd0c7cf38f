"""The sidecars of the simulation: the simulated Dapr of all tests, and what may go wrong around it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import httpx
from starlette.types import Receive, Scope, Send

from tests.support.mail_api import LOST_ANSWER, LOST_REQUEST, Deed, MailApi
from tests.support.mail_server import DROP, Act, Mail, Mailbox
from tests.support.simulated_dapr import SimulatedDapr, Wire
from verification.simulation.answers import Answers
from verification.simulation.broker import Broker
from verification.simulation.chance import Chance
from verification.simulation.process import Answer, Died, Process

MAIL = {
    "drop before": {"DATA": DROP},
    "drop after": {"DOT": DROP},
    "refuse once": {"RCPT": Act("451 later")},
    "refuse permanently": {"RCPT": Act("550 nobody of that name")},
    "slow": {"DATA": Act(delay=20.0)},
    "hang": {"DATA": Act(delay=45.0)},
}
"""What a mail server does, by the fault's name (tests/support/mail_server.py)."""
MAIL_API = {
    "drop before": LOST_REQUEST,
    "drop after": LOST_ANSWER,
    "refuse once": Deed(429),
    "refuse permanently": Deed(422),
    "slow": Deed(takes=True, delay=20.0),
    "hang": Deed(takes=True, delay=45.0),
}
"""What a mail API does, by the same names (tests/support/mail_api.py)."""
HANGS = 12.0
"""Seconds that a call takes which hangs: longer than a service waits."""
SLOW = 8.0
"""Seconds that an answer takes which is late, and yet in time."""


@dataclass
class Address:
    """The address of a service: whichever process of it lives; raises ConnectError where there is none."""

    alive: Callable[[], Process | None]

    async def ask(self, scope: Scope, body: bytes = b"") -> Answer:
        """Return its answer; raises Died where the process ends meanwhile."""
        process = self.alive()
        if process is None:
            raise httpx.ConnectError("connection refused")
        return await process.ask(scope, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an app does; one that dies meanwhile has answered 200 so far, as with daprd."""
        try:
            answer = await self._answer_to(scope, receive)
        except Died:
            answer = Answer(200, [], b"")
        await _send_all(answer, send)

    async def strict(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an app does; one that dies meanwhile has not answered, as with most deliveries."""
        try:
            answer = await self._answer_to(scope, receive)
        except Died as died:
            raise httpx.ReadError("connection reset") from died
        await _send_all(answer, send)

    async def _answer_to(self, scope: Scope, receive: Receive) -> Answer:
        return await self.ask(dict(scope), (await receive()).get("body", b""))


async def _send_all(answer: Answer, send: Send) -> None:
    start = {"type": "http.response.start", "status": answer.status}
    await send({**start, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


@dataclass
class Sidecars:
    """All sidecars, the broker and the mail server behind them, or in its place a mail API."""

    broker: Broker
    chance: Chance
    fault: Callable[[str], str]
    note: Callable[[str], None]
    addresses: dict[str, Address]
    down_until: dict[str, float] = field(default_factory=dict)
    broker_down_until: float = 0.0
    mailbox: Mailbox = field(default_factory=Mailbox)
    api: MailApi | None = None
    refused_permanently: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the simulated Dapr behind all of them."""
        apis = {"email": self.api} if self.api else {}
        self.dapr = SimulatedDapr(apps=dict(self.addresses), apis=apis)
        self._wire = Wire(self.dapr)
        self._answers = Answers(self.chance)

    @property
    def mails(self) -> list[Mail]:
        """Return the mails that were accepted."""
        posted = self.api.taken.values() if self.api else []
        by_api = [Mail((p.to,), p.sender, p.subject, p.html) for p in posted]
        return [*self.mailbox.mails, *by_api]

    def is_down(self, service: str) -> bool:
        """Return whether this service's sidecar does not run at the moment."""
        now = asyncio.get_running_loop().time()
        return now < self.down_until.get(service, 0.0)

    async def call(self, service: str, request: httpx.Request) -> httpx.Response:
        """Carry one call of a service to its sidecar."""
        await asyncio.sleep(self.chance.between(0.0005, 0.01))
        if self.is_down(service):
            raise httpx.ConnectError("connection refused", request=request)
        what = request.url.path.split("/")[2]
        carry = {"publish": self._publish, "bindings": self._send, "invoke": self._ask}
        answer = await carry.get(what, self._pass_on)(request)
        self.note(f"{service} {what}: {answer.status_code} {len(answer.content)}")
        return answer

    async def _pass_on(self, request: httpx.Request) -> httpx.Response:
        return await self._wire.handle_async_request(request)

    async def _publish(self, request: httpx.Request) -> httpx.Response:
        act = self.fault("publish")
        if act == "hang":
            await asyncio.sleep(HANGS)
        now = asyncio.get_running_loop().time()
        self.dapr.available = act != "down" and now >= self.broker_down_until
        self.dapr.refused = {_first_id(request)} if act == "refuse one" else set()
        answer = await self._pass_on(request)
        accepted = list(self.dapr.queue)
        self.dapr.queue.clear()
        if act != "false":
            for each in accepted:
                self.broker.accept(replace(each, id="of the simulation"))
        if act == "lose the answer":
            raise httpx.ReadError("connection reset", request=request)
        return answer

    async def _send(self, request: httpx.Request) -> httpx.Response:
        act = self.fault("send")
        # The mails are shared; what the server does is for this call alone.
        mailbox = Mailbox(mails=self.mailbox.mails, acts=MAIL.get(act, {}))
        self.dapr.bindings = {"email": mailbox}
        if self.api:
            self.api.deeds = {"": MAIL_API[act]} if act in MAIL_API else {}
        if act == "refuse permanently":
            self.refused_permanently.add(request.content.decode())
        answer = await self._pass_on(request)
        if act == "lose the answer":
            raise httpx.ReadError("connection reset", request=request)
        return answer

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        act, asked = self.fault("ask"), request.url.path.split("/")[3]
        await asyncio.sleep({"hang": HANGS, "slow": SLOW}.get(act, 0.0))
        is_down = self.addresses[asked].alive() is None or self.is_down(asked)
        self.dapr.away = {asked} if is_down or act == "down" else set()
        answer = await self._pass_on(request)
        return self._answers.changed(act, request, answer)


def _first_id(request: httpx.Request) -> str:
    return request.content.decode().partition('"entryId":"')[2].partition('"')[0]


class Transport(httpx.AsyncBaseTransport):
    """The connection of one process to its sidecar: it may die before and after each call."""

    def __init__(self, process: Process, sidecars: Sidecars) -> None:
        self._process = process
        self._sidecars = sidecars

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a call out of the process."""
        what = request.url.path.split("/")[2]
        await self._process.point(f"before {what}")
        call = self._sidecars.call(self._process.name, request)
        answer = await self._process.outside(call)
        await self._process.point(f"after {what}")
        return answer
