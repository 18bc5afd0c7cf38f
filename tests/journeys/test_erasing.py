"""A customer is exported and erased by the commands, on the real system."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator

import pytest

from tests.support.mail_server import Act, Mailbox, serving
from tests.support.shop import Customer, Shop, an_address
from tests.support.system import RealSystem
from tests.support.variants import ONE
from toolchain.runfile import ROOT

pytestmark = [pytest.mark.system, ONE]
NAME = "Quirina Zweifel"


@pytest.fixture
def mailbox(system: RealSystem) -> Iterator[Mailbox]:
    """Run a mail server where the sidecar sends to."""
    box = Mailbox()
    with serving(box, system.system.port("smtp")):
        yield box


async def typed(shop: Shop, *arguments: str) -> tuple[int | None, str]:
    """Type a command about a customer; return its exit status, and what it prints."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "toolchain.customer", *arguments),
        cwd=ROOT,
        env={**os.environ, "OFFSET": str(shop.system.system.offset)},  # noqa: TID251 - it is for a program
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(command.communicate(), 90)
    return command.returncode, output.decode()


async def test_a_customer_is_exported_and_erased_from_both_services(
    system: RealSystem, shop: Shop, customer: Customer, mailbox: Mailbox
) -> None:
    address = an_address()
    orders = [await shop.orders(NAME, email=address) for _ in range(3)]
    for each in orders:
        await customer.sees(each, "SENT")
    assert len(mailbox.to(address)) == 3

    status, printed = await typed(shop, "export", address)
    lines = [json.loads(line) for line in printed.splitlines()]
    who = ("--by", "Ada Lovelace", "--reason", "Request 4711")
    erased, said = await typed(shop, "erase", address, *who)
    left, nothing = await typed(shop, "export", address)

    assert (status, erased, left) == (0, 0, 0)
    assert {each["order"]["orderId"] for each in lines} == {each.id for each in orders}
    assert all(each["notifications"][0]["customerName"] == NAME for each in lines)
    assert said.count("3 orders erased") == 2
    assert nothing == ""
    url = f"{system.system.invoke_url('order')}/api/order/{orders[0].id}"
    assert (await shop.http.get(url)).json()["customerName"] == "(erased)"


async def test_no_log_of_a_service_or_a_sidecar_names_a_customer(
    system: RealSystem, shop: Shop, customer: Customer, mailbox: Mailbox
) -> None:
    address = an_address()
    await customer.sees(await shop.orders(NAME, email=address), "SENT")
    mailbox.acts[f"RCPT {address}"] = Act(f"550 <{address}>: no such user")
    refused = await customer.sees(await shop.orders(NAME, email=address), "FAILED")
    assert "no such user" in refused["reason"]

    parts = (*system.apps.values(), *system.sidecars.values())
    said = [line for part in parts for line in part.said().splitlines()]

    # What a customer reads on the console is no log.
    told = [line for line in said if not line.startswith("Notification for Order ")]
    assert [line for line in told if NAME in line or address in line] == []


async def test_an_erasure_without_a_reason_or_a_system_says_what_is_missing(
    shop: Shop,
) -> None:
    status, said = await typed(shop, "erase", "jane@example.org", "--by", "Ada")

    assert status == 2
    assert "an erasure needs BY, or a TOKEN, and REASON" in said
