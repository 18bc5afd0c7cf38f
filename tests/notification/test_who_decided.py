"""Who released or discarded, on a page: whoever is signed in, whatever the form says."""

from pathlib import Path

import pytest

from services.notification.model import State
from tests.notification.test_discard import kept
from tests.support.services import notification_service
from tests.support.sign_in import browsing, issuing, settings
from tests.support.simulated_dapr import SimulatedDapr


@pytest.mark.parametrize("act", ["discard", "release"])
async def test_it_is_whoever_is_signed_in_whatever_the_form_says(
    tmp_path: Path, dapr: SimulatedDapr, act: str
) -> None:
    with issuing(tmp_path, "notification") as issuer:
        given = settings(issuer, "notification")
        async with notification_service(tmp_path, dapr, **given) as service:
            order = await kept(service, State.HELD)
            async with browsing(service.app) as browser:
                await browser.signs_in("olga", "?state=HELD")
                page = await browser.opens("?state=HELD")
                chosen = {f"order-{order}": "on", "reason": "It is a test.", "act": act}

                answer = await browser.sends(
                    "?state=HELD", page.text, by="Mallory", **chosen
                )
                after = await browser.opens(f"?order={order}")

    assert 'name="by"' not in page.text
    assert "Done for 1." in answer.text
    assert f"{act.rstrip('e')}ed by <bdi>olga</bdi>" in after.text
    assert "Mallory" not in after.text


async def test_a_customer_opens_no_page_of_it(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    pages = ("", "operations", "dead-letters", "?state=HELD")
    with issuing(tmp_path, "notification") as issuer:
        given = settings(issuer, "notification")
        async with (
            notification_service(tmp_path, dapr, **given) as service,
            browsing(service.app) as browser,
        ):
            await browser.signs_in("alice")
            answers = [await browser.opens(each) for each in pages]

    assert {each.status_code for each in answers} == {403}
