"""The proof, inside the cluster's namespaces: orders under faults, and then what became of each."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from tests.support.eventually import eventually
from toolchain.cluster import node
from toolchain.machine import Machine
from toolchain.mail import catcher, mailbox
from verification.chaos import ledger, reading
from verification.chaos.books import Books
from verification.chaos.ledger import Ledger
from verification.chaos.load import Load
from verification.chaos.reading import Reader
from verification.chaos.run import UNAVAILABLE
from verification.kubernetes import issuer, policies, system
from verification.kubernetes.faults import FAULTS, Fault
from verification.kubernetes.issuer import Published
from verification.kubernetes.system import SERVICES, System

IMAGES = "images.tar"
LASTS = 360.0
"""Seconds that the faults take, about."""
RECOVERS_WITHIN, SETTLES_WITHIN = 180.0, 420.0


@dataclass
class Proof:
    """One run: the system, its customers, and what is known of their orders."""

    system: System
    load: Load
    books: Books
    mails: Path
    readers: dict[str, Reader]
    begun: float = field(default_factory=time.monotonic)

    def say(self, what: str) -> None:
        """Print what has happened, and when."""
        at, placed = time.monotonic() - self.begun, self.load.placed
        sys.stderr.write(f"  {at:>5.0f} s  {placed:>6,} orders  {what}\n")


async def prove(machine: Machine, folder: Path, orders: int) -> bool:
    """Run the proof on a cluster in this folder; return whether no order is lost or notified twice."""
    async with _opened(machine, folder, orders) as proof:
        asked = await asyncio.to_thread(policies.ask, proof.system)
        proof.say(f"the network policies hold: {asked} connections tried")
        placing = asyncio.create_task(proof.load.place())
        for name, fault in FAULTS.items():
            await _inject(proof, name, fault)
        proof.load.hurry()
        await placing
        await eventually(
            lambda: _is_settled(proof), "all is at its end", SETTLES_WITHIN, 1
        )
        reading.read_mails(proof.books, proof.mails)
        await asyncio.to_thread(reading.read_records, proof.books, proof.readers)
        return _report(proof, ledger.judge(proof.books))


@asynccontextmanager
async def _opened(machine: Machine, folder: Path, orders: int) -> AsyncIterator[Proof]:
    begun = time.monotonic()
    mails = folder / "mails"
    mailbox.open_folder(mails)
    with node.running(machine, folder) as cluster, closing(Books()) as books:
        inside = System(machine, cluster, folder, secrets.token_hex(12))
        await asyncio.to_thread(_prepare, inside)
        loop = asyncio.get_running_loop()
        smtp = await loop.create_server(lambda: catcher.smtp(mails), node.ADDRESS, 587)
        async with smtp, issuer.publishing(folder / "issuer") as published:
            await asyncio.to_thread(system.install, inside, published)
            load = _load(inside, books, published, orders)
            readers = {each: Reader(inside.database(each)) for each in SERVICES}
            proof = Proof(inside, load, books, mails, readers, begun)
            proof.say("the system is ready: cluster, Dapr, services")
            yield proof


def _prepare(inside: System) -> None:
    images = inside.folder / IMAGES
    node.bring(images)
    images.unlink()
    system.install_dns(inside)
    system.install_dapr(inside)


def _load(inside: System, books: Books, published: Published, orders: int) -> Load:
    address = inside.cluster.do(
        "get", "pod/gateway", "--namespace=orders", "--output=jsonpath={.status.podIP}"
    )
    url = f"http://{address}:3500/v1.0/invoke/order/method"
    return Load([url], books, orders, LASTS, mail_every=1, tokens=published.token)


async def _inject(proof: Proof, name: str, fault: Fault) -> None:
    begun = time.monotonic()
    await asyncio.to_thread(fault, proof.system)
    done = time.monotonic()
    async with proof.load.customers() as http:
        order = await proof.load.order(http, f"After: {name}", "after@example.org")
    await eventually(
        lambda: _is_notified(proof, order), f"notified after: {name}", RECOVERS_WITHIN, 0.1
    )  # fmt: skip
    notified = time.monotonic()
    for namespace in ("servers", "dapr-system", "orders"):
        await asyncio.to_thread(proof.system.is_rolled_out, namespace)
    whole = time.monotonic()
    proof.say(
        f"{name}: {done - begun:.0f} s; the next order was notified after {notified - done:.1f} s, "
        f"all pods were ready after {whole - done:.0f} s"
    )


async def _is_notified(proof: Proof, order: str) -> bool:
    sent = f"SELECT count(*) FROM notification WHERE state = 'SENT' AND order_id = '{UUID(order).hex}'"
    try:
        return await proof.readers["notification"].number(sent) > 0
    except UNAVAILABLE:
        return False


async def _is_settled(proof: Proof) -> bool:
    orders = await proof.readers["order"].number("SELECT count(*) FROM orders")
    notified = "SELECT count(*) FROM notification"
    return orders == await proof.readers["notification"].number(
        notified
    ) and not await reading.under_way(proof.readers)


def _report(proof: Proof, judged: Ledger) -> bool:
    received, records = judged.received, judged.records
    assert records is not None
    proof.say(
        f"{received.accepted} accepted, {records.notified} notified, {records.lost} lost, {records.stuck} stuck, "
        f"{received.twice} twice, {received.again} mailed again after an unknown outcome, {records.held} held, "
        f"{records.pulled} pulled, {records.dead_letters} dead letters"
    )
    proof.say(f"answered instead of an order: {dict(proof.load.trouble) or 'nothing'}")
    for order, why in judged.findings.items():
        proof.say(f"{order}: {why}")
    return judged.is_clean
