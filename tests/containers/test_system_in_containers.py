"""`make up`: the journeys through the gateway on real containers, and a kill of each."""

import os

import pytest

from tests.support.containers import PATIENCE, System
from tests.support.eventually import within
from toolchain.up import stack as stacks

# Not in each process of the tests: one system is enough.
pytestmark = [
    pytest.mark.system,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine, and a kill, need root"),
]
PARTS = (
    "order",
    "order-dapr",
    "notification",
    "notification-dapr",
    "postgresql",
    "mail",
    "gateway",
)
UNPRIVILEGED = (
    "order",
    "notification",
    "order-dapr",
    "notification-dapr",
    "gateway",
    "collector",
    "zipkin",
)


def test_an_order_travels_to_its_mail_and_back(system: System) -> None:
    """From the gateway through both services, sidecars, broker and mail server."""
    system.place("jane")

    within(
        PATIENCE, lambda: system.states().get("jane") == "SENT", "the order shows SENT"
    )
    assert system.mails()["jane@example.org"] == 1


def test_whatever_is_killed_each_order_is_placed_once_and_notified(
    system: System,
) -> None:
    """Two orders before each kill, which may be under way, and one after it."""
    for part in (*PARTS, system.stack.variables["BROKER"]):
        for moment in ("before", "beside"):
            system.place(f"{part}-{moment}")
        system.kill(part)
        system.place(f"{part}-after")

    within(
        PATIENCE,
        lambda: {*system.states().values()} == {"SENT"},
        "all orders show SENT",
    )
    assert set(system.placed().values()) == {1}
    mails = system.mails()
    assert {f"{name}@example.org" for name in system.accepted} <= {*mails}
    # Over SMTP nobody knows whether a mail left when its sender or its server dies: once more at most.
    twice = {name for name, count in mails.items() if count > 1}
    assert all(each.startswith(("notification", "mail")) for each in twice), mails
    assert max(mails.values()) <= 2


def test_what_lost_its_network_with_its_pod_joins_the_new_one(system: System) -> None:
    """As a second `make up` does it."""
    system.kill("order-pod")
    stacks.join_again(system.stack)

    system.place("after-its-pod")
    within(
        PATIENCE,
        lambda: system.states().get("after-its-pod") == "SENT",
        "the order shows SENT",
    )


def test_prometheus_reads_what_both_services_and_both_sidecars_measure(
    system: System,
) -> None:
    within(PATIENCE, lambda: system.targets() == {"up": 4}, "all four targets are read")


def test_the_viewer_shows_an_order_through_both_services(system: System) -> None:
    """As the order desk links to it; the sidecars' spans are named by their service."""
    system.place("traced")

    within(
        PATIENCE,
        lambda: {"order", "notification"} <= system.traced("traced"),
        "both services are in the trace",
    )


def test_no_service_or_sidecar_is_root_or_may_write(system: System) -> None:
    """The file system is read-only, all rights are dropped."""
    for part in UNPRIVILEGED:
        of = system.inspected(part)
        assert of["Config"]["User"] == "10001:10001", part
        assert of["HostConfig"]["ReadonlyRootfs"] is True
        assert of["HostConfig"]["CapDrop"] == ["ALL"]


def test_only_gateway_and_viewers_are_reached_and_from_this_machine_alone(
    system: System,
) -> None:
    """Published ports of all parts."""
    of_it = f"label=com.docker.compose.project={system.stack.name}"
    every = system.stack.engine.docker("ps", "--format={{.Ports}}", "--filter", of_it)
    published = {line for line in every.split("\n") if "->" in line}

    variables = system.stack.variables
    assert published == {
        f"127.0.0.1:{variables['GATEWAY_PORT']}->8443/tcp",
        f"127.0.0.1:{variables['PROMETHEUS_PORT']}->9090/tcp",
        f"127.0.0.1:{variables['ZIPKIN_PORT']}->9411/tcp",
    }
