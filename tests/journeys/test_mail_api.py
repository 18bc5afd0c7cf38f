"""Mails through an API that deduplicates, on the real parts: each arrives once, whatever happens to it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.eventually import eventually
from tests.support.mail_api import (
    LOST_ANSWER,
    NEVER_ANSWERED,
    Deed,
    MailApi,
    serving_api,
)
from tests.support.mail_server import Mailbox, serving
from tests.support.shop import Customer, Order, Shop, an_address
from tests.support.system import RealSystem
from tests.support.variants import ONE

pytestmark = [pytest.mark.system, ONE]


@pytest.fixture(scope="module")
async def serving_mails(system: RealSystem) -> AsyncIterator[MailApi]:
    """Run a mail API, and give the notification service's sidecar the component for it."""
    api = MailApi()
    with serving_api(api, system.system.port("mail page")):
        await system.swap_mail("api")
        yield api
        await system.swap_mail("smtp")


@pytest.fixture
def api(serving_mails: MailApi) -> MailApi:
    """Return the mail API, which does what it should."""
    serving_mails.deeds.clear()
    return serving_mails


async def is_accepted(api: MailApi, address: str) -> None:
    """Wait until a mail to this address is accepted."""

    async def accepted() -> bool:
        return bool(api.to(address))

    await eventually(accepted, "the mail is accepted")


async def test_a_customer_with_an_address_is_mailed_once(
    shop: Shop, customer: Customer, api: MailApi
) -> None:
    address = an_address()

    order = await shop.orders("Zo\u00eb \U0001f389 <b>Doe</b>", email=address)

    shown = await customer.sees(order, "SENT")
    assert shown["channel"] == "email"
    (mail,) = api.to(address)
    assert mail.subject == f"Your order {order.id}"
    assert "Zo\u00eb \U0001f389 &lt;b&gt;Doe&lt;/b&gt;" in mail.html
    keys = [each for each in api.asked if each.startswith(f"order-created/{order.id}/")]
    assert len(keys) == 1


@pytest.mark.parametrize("deed", [LOST_ANSWER, Deed(503, takes=True)])
async def test_a_mail_whose_answer_is_lost_is_sent_again_and_arrives_once(
    shop: Shop, customer: Customer, api: MailApi, deed: Deed
) -> None:
    address = an_address()
    api.deeds[address] = deed

    order = await shop.orders("Jane Doe", email=address)

    await customer.sees(order, "UNKNOWN")
    api.deeds.clear()
    await customer.sees(order, "SENT")
    assert len(api.to(address)) == 1
    assert api.tries(address) >= 2
    assert api.accepted >= 1
    assert len(await customer.has_read(order)) == 1


@pytest.mark.parametrize("kind", ["apps", "sidecars"])
async def test_a_mail_that_a_part_was_killed_over_arrives_once(
    shop: Shop, customer: Customer, api: MailApi, system: RealSystem, kind: str
) -> None:
    address = an_address()
    api.deeds[address] = NEVER_ANSWERED
    order = await shop.orders("Jane Doe", email=address)
    await is_accepted(api, address)

    await getattr(system, kind)["notification"].kill()
    api.deeds.clear()

    await customer.sees(order, "SENT")
    assert len(api.to(address)) == 1
    assert api.tries(address) >= 2
    assert len(await customer.has_read(order)) == 1


async def test_a_mail_that_has_failed_is_sent_once_somebody_releases_it(
    shop: Shop, customer: Customer, api: MailApi
) -> None:
    address = an_address()
    api.deeds[address] = Deed(422)
    order = await shop.orders("Jane Doe", email=address)
    shown = await customer.sees(order, "FAILED")
    assert "said with 422" in shown["reason"]
    assert api.to(address) == []
    api.deeds[address] = Deed(429)

    await shop.releases(order)

    await customer.sees(order, "WAITING")
    api.deeds.clear()
    await customer.sees(order, "SENT")
    assert len(api.to(address)) == 1
    assert len(await customer.has_read(order)) == 1


async def test_a_mail_leaves_by_what_the_sidecar_has_and_the_service_runs_on(
    shop: Shop, customer: Customer, api: MailApi, system: RealSystem
) -> None:
    box, addresses = Mailbox(), [an_address() for _ in range(3)]
    service = system.apps["notification"].pids()
    orders: list[Order] = []

    with serving(box, system.system.port("smtp")):
        for address, mail in zip(addresses, ("api", "smtp", "api"), strict=True):
            await system.swap_mail(mail)
            orders.append(await shop.orders("Jane Doe", email=address))
            await customer.sees(orders[-1], "SENT")

    assert [len(api.to(each)) for each in addresses] == [1, 0, 1]
    assert [len(box.to(each)) for each in addresses] == [0, 1, 0]
    assert system.apps["notification"].pids() == service
