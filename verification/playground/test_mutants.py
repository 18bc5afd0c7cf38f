"""Each safeguard that is taken out makes ours lose or double; with all of them in, the same does neither."""

from pathlib import Path
from uuid import uuid4

import pytest

from chassis.reconciler.grace_period import SHORTEST
from tests.support.database import followed
from tests.support.delivering import deliver, order_created
from tests.support.eventually import eventually
from tests.support.pulls import pulling
from tests.support.services import notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from verification.playground import mutants

IS_OUT = pytest.mark.parametrize("is_out", [False, True], ids=["in", "out"])


def _take_out(patch: pytest.MonkeyPatch, safeguard: str, *, is_out: bool) -> None:
    mutants.take_out([safeguard] if is_out else [""], patch.setattr)


@IS_OUT
async def test_without_the_outbox_an_order_that_the_broker_did_not_get_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_out: bool
) -> None:
    _take_out(monkeypatch, mutants.OUTBOX, is_out=is_out)
    dapr, key = SimulatedDapr(available=False), {"idempotency-key": str(uuid4())}
    async with order_service(tmp_path, dapr) as service:
        order = {"customerName": "Jane Doe"}
        await service.http.post("/api/order", json=order, headers=key)
        again = await service.http.post("/api/order", json=order, headers=key)
        dapr.available = True

        async def is_published() -> bool:
            return bool(dapr.published)

        if not is_out:
            await eventually(is_published, "the relay publishes it")
        shown = await service.http.get(f"/api/order/{again.json()['orderId']}")

    assert again.status_code == 201
    assert shown.json()["notification"]["state"] == "WAITING"
    assert len(dapr.published) == (not is_out)


@IS_OUT
async def test_without_the_inbox_a_message_that_comes_twice_notifies_twice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    is_out: bool,
) -> None:
    _take_out(monkeypatch, mutants.INBOX, is_out=is_out)
    async with notification_service(tmp_path, SimulatedDapr()) as service:
        event = order_created()
        statuses = [await deliver(service, event) for _ in range(2)]
        await followed(service.database)

    assert statuses == ["SUCCESS", "SUCCESS"]
    lines = capfd.readouterr().out.count(event["data"]["orderId"])
    assert lines == (2 if is_out else 1)


@IS_OUT
async def test_without_the_pull_what_the_broker_lost_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_out: bool
) -> None:
    _take_out(monkeypatch, mutants.PULL, is_out=is_out)
    async with pulling(tmp_path, SimulatedDapr()) as pull:
        said = await pull.feed.says_orders(1)
        await pull.step()
        pull.now += SHORTEST
        await pull.step()

        assert await pull.taken() == ([] if is_out else said)
