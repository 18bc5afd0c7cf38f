"""An order with an address becomes a mail, on the real parts, whatever its mail server does."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.mail_server import DROP, Act, Mailbox, serving
from tests.support.shop import Customer, Shop, an_address
from tests.support.system import RealSystem
from tests.support.variants import ONE

pytestmark = [pytest.mark.system, ONE]


@pytest.fixture
def mailbox(system: RealSystem) -> Iterator[Mailbox]:
    """Run a mail server where the sidecar sends to."""
    box = Mailbox()
    with serving(box, system.system.port("smtp")):
        yield box


async def test_a_customer_with_an_address_is_mailed_once(
    shop: Shop, customer: Customer, mailbox: Mailbox
) -> None:
    address = an_address()

    order = await shop.orders("Zo\u00eb \U0001f389 <b>Doe</b>", email=address)

    shown = await customer.sees(order, "SENT")
    assert shown["channel"] == "email"
    (mail,) = mailbox.mails
    assert mail.recipients == (address,)
    assert mail.subject == f"Your order {order.id}"
    assert "Zo\u00eb \U0001f389 &lt;b&gt;Doe&lt;/b&gt;" in mail.text
    assert len(await customer.has_read(order)) == 1


async def test_a_mail_waits_for_its_server(
    shop: Shop, customer: Customer, system: RealSystem
) -> None:
    address, box = an_address(), Mailbox()

    order = await shop.orders("Jane Doe", email=address)

    assert "connection refused" in await customer.is_told_why(order)
    with serving(box, system.system.port("smtp")):
        await customer.sees(order, "SENT")
    assert [each.recipients for each in box.mails] == [(address,)]


async def test_a_mail_that_is_permanently_refused_has_failed_and_the_order_shows_why(
    shop: Shop, customer: Customer, mailbox: Mailbox
) -> None:
    address = an_address()
    mailbox.acts[f"RCPT {address}"] = Act("550 no such user")

    order = await shop.orders("Jane Doe", email=address)

    shown = await customer.sees(order, "FAILED")
    assert '550 "no such user"' in shown["reason"]
    assert mailbox.mails == []


async def test_a_mail_whose_outcome_is_unknown_is_sent_once_more(
    shop: Shop, customer: Customer, mailbox: Mailbox
) -> None:
    address = an_address()
    mailbox.acts[f"DOT {address}"] = DROP

    order = await shop.orders("Jane Doe", email=address)

    async def is_accepted() -> bool:
        return len(mailbox.to(address)) == 1

    await eventually(is_accepted, "the mail is accepted, and the reply dropped")
    mailbox.acts.clear()
    await customer.sees(order, "SENT")
    assert len(mailbox.to(address)) == 2
    assert len(await customer.has_read(order)) == 1


async def test_fifty_customers_at_once_get_their_own_mail_each(
    shop: Shop, customer: Customer, mailbox: Mailbox
) -> None:
    addresses = [an_address() for _ in range(50)]

    orders = await asyncio.gather(
        *(shop.orders(f"Customer {each}", email=each) for each in addresses)
    )

    for order in orders:
        await customer.sees(order, "SENT")
    assert len(mailbox.mails) == 50
    assert mailbox.most_open == 1
    for address, order in zip(addresses, orders, strict=True):
        (mail,) = mailbox.to(address)
        assert mail.subject == f"Your order {order.id}"
        assert f"Customer {address}" in mail.text
        assert order.id in mail.text
