"""Prometheus finds at real services and sidecars whatever the rules and dashboards ask for."""

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.mail_server import Mailbox, serving
from tests.support.promql import asked_for, exposed
from tests.support.shop import Customer, Shop, an_address
from tests.support.system import RealSystem
from tests.support.variants import ONE
from toolchain import runfile

pytestmark = [pytest.mark.system, ONE]

ONLY_IN_TROUBLE = {"dapr_resiliency_activations_total"}
"""What a sidecar shows after its first retry."""
PROMETHEUS_OWN = {"up"}


async def test_what_rules_and_dashboards_ask_for_is_exposed(
    system: RealSystem, shop: Shop, customer: Customer
) -> None:
    with serving(Mailbox(), system.system.port("smtp")):
        await customer.is_notified(await shop.orders("Jane Doe", email=an_address()))
    ports = [
        port
        for app in system.instances.values()
        for port in (app["metricsPort"], *runfile.metrics_ports(app))
    ]

    async with httpx.AsyncClient(trust_env=False) as client:

        async def missing_nothing() -> bool:
            pages = [
                (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                for port in ports
            ]
            found = set[str]().union(*map(exposed, pages))
            return asked_for() <= found | ONLY_IN_TROUBLE | PROMETHEUS_OWN

        await eventually(missing_nothing, "every metric is there", deadline=30)
