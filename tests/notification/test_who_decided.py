"""Who released or discarded, on a page: whoever is signed in, whatever the form says."""

from pathlib import Path

import pytest

from services.notification.model import State
from tests.notification.test_discard import kept
from tests.support.issuer import issuing as issuer_of_tokens
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


@pytest.mark.parametrize("said", [{}, {"by": "Mallory"}])
async def test_over_the_api_it_is_the_token_s_subject_whatever_the_body_says(
    tmp_path: Path, dapr: SimulatedDapr, said: dict[str, str]
) -> None:
    with issuer_of_tokens() as issuer:
        async with notification_service(tmp_path, dapr, **issuer.settings) as service:
            order = await kept(service, State.HELD)
            path, body = f"/api/notification/{order}/discard", {"reason": "A test."}
            headers = issuer.authorization("operate", subject="olga" * 60)
            answer = await service.http.post(
                path, json={**body, **said}, headers=headers
            )

    assert answer.status_code == 200, answer.text
    assert answer.json()["discardedBy"] == "olga" * 60


@pytest.mark.parametrize("has_tokens", [True, False])
async def test_the_description_requires_a_name_where_no_token_says_it(
    tmp_path: Path, dapr: SimulatedDapr, *, has_tokens: bool
) -> None:
    with issuer_of_tokens() as issuer:
        given = issuer.settings if has_tokens else {}
        async with notification_service(tmp_path, dapr, **given) as service:
            described = (await service.http.get("/openapi.json")).json()

    discard = described["components"]["schemas"]["DiscardNotification"]
    assert ("by" in discard["required"]) != has_tokens


async def test_without_access_control_it_is_whoever_is_named(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with notification_service(tmp_path, dapr) as service:
        order = await kept(service, State.HELD)
        path = f"/api/notification/{order}/discard"
        nobody = await service.http.post(path, json={"reason": "A test."})
        jane = await service.http.post(path, json={"reason": "A test.", "by": "jane"})

    assert nobody.status_code == 422
    assert nobody.json()["errors"] == [{"field": "by", "detail": "Field required"}]
    assert jane.json()["discardedBy"] == "jane"


async def test_it_is_so_for_all_of_a_reason(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    with issuing(tmp_path, "notification") as issuer:
        given = settings(issuer, "notification")
        async with notification_service(tmp_path, dapr, **given) as service:
            await kept(service, State.HELD)
            async with browsing(service.app) as browser:
                await browser.signs_in("olga", "?state=HELD")
                page = await browser.opens("?state=HELD")
                chosen = {"reason": "It is a test.", "act": "discard-all"}

                await browser.sends("?state=HELD", page.text, by="Mallory", **chosen)
                after = await browser.opens("?state=HELD")

    assert "<bdi>olga</bdi>: <bdi>It is a test.</bdi>" in after.text
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
