"""What Dapr reads is what it should be: daprd only warns of a broken file, and ignores unknown keys."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.dapr.sidecar import Sidecar
from chassis.event import Delivery, Event
from services.notification import app as notification
from tests.support.services import running
from tests.support.simulated_dapr import SimulatedDapr
from toolchain import runfile
from toolchain.documents import services
from toolchain.documents.schemas import events

ROOT = Path(__file__).parents[2]
COMPONENTS = ROOT / "components"
MAIL = COMPONENTS / "mail"
MAILS = {"smtp": "bindings.smtp", "api": "bindings.http"}
BROKERS = sorted(
    each for each in COMPONENTS.iterdir() if each.is_dir() and each != MAIL
)
TUNINGS = [folder / "subscription.yaml" for folder in BROKERS]
RESOURCES = sorted({*COMPONENTS.rglob("*.yaml")} - {*TUNINGS}) + sorted(
    (ROOT / "configuration").rglob("*.yaml")
)
LOSES_NOTHING = {
    "rabbitmq": {
        "durable": "true",
        "deliveryMode": "2",
        "publisherConfirm": "true",
        "requeueInFailure": "true",
        "deletedWhenUnused": "false",
        "autoAck": "false",
        "enableDeadLetter": "false",
        "concurrencyMode": "parallel",
    },
    "redis": {"consumerID": "{appID}"},
    "kafka": {
        "consumerGroup": "{appID}",
        "initialOffset": "oldest",
        "consumeRetryEnabled": "true",
        "producerRequiredAcks": "all",
    },
    "azure.servicebus.topics": {"consumerID": "{appID}", "maxDeliveryCount": "2000"},
}
DROPS_MESSAGES = {"maxLen", "maxLenBytes", "ttlInSeconds", "maxLenApprox", "streamTTL"}
DROPS_MESSAGES |= {"defaultMessageTimeToLiveInSec", "autoDeleteOnIdleInSec"}


def read(path: Path) -> dict[str, Any]:
    """Read a file that holds one YAML document."""
    (document,) = yaml.safe_load_all(path.read_text())
    assert isinstance(document, dict)
    return document


def app_ids() -> set[str]:
    """Return the app-ids of dapr.yaml."""
    return {app["appID"] for app in runfile.load().document["apps"]}


def settings_of(component: Path) -> dict[str, Any]:
    """Return a component's settings; one that comes from the environment is None."""
    return {
        each["name"]: each.get("value") for each in read(component)["spec"]["metadata"]
    }


def named(path: Path) -> str:
    """Return a file's name for a test."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", RESOURCES, ids=named)
def test_a_resource_is_of_a_known_kind_and_version(path: Path) -> None:
    document = read(path)

    assert document["kind"] in {"Component", "Configuration", "Resiliency"}
    assert document["apiVersion"] == "dapr.io/v1alpha1"
    assert document["spec"]


@pytest.mark.parametrize("path", RESOURCES, ids=named)
def test_a_resource_is_named_by_its_role_and_scoped_to_apps_that_exist(
    path: Path,
) -> None:
    document = read(path)
    scopes = document.get("scopes", [])

    assert document["metadata"]["name"] == path.stem
    assert set(scopes) <= app_ids()
    assert scopes or document["kind"] != "Component"


@pytest.mark.parametrize("path", sorted(COMPONENTS.glob("*/pubsub-*.yaml")), ids=named)
def test_another_way_out_leads_to_the_same_broker_and_loses_as_little(
    path: Path,
) -> None:
    first, other = read(path.with_name("pubsub.yaml")), read(path)

    assert (other["spec"]["type"], other["scopes"]) == (
        first["spec"]["type"],
        first["scopes"],
    )
    settings = first["spec"]["metadata"]
    assert [each for each in other["spec"]["metadata"] if each not in settings] == []


@pytest.mark.parametrize("path", sorted(COMPONENTS.glob("*/pubsub*.yaml")), ids=named)
def test_each_service_publishes_its_own_events_and_subscribes_to_what_it_reacts_to(
    path: Path,
) -> None:
    told = settings_of(path)
    pushed = [each for each in events() if each.delivery is Delivery.PUSH_AND_PULL]
    publishing = {app: own_topics(app, pushed) for app in app_ids()}
    subscribing = {app: topics_reacted_to(app, pushed) for app in app_ids()}

    assert topics(told["publishingScopes"]) == publishing
    assert topics(told["subscriptionScopes"]) == subscribing
    assert set(told["protectedTopics"].split(",")) == {
        topic for own in publishing.values() for topic in own
    }


def own_topics(app: str, pushed: list[type[Event]]) -> set[str]:
    """Return what a service publishes: its events, and where it subscribes, what its sidecar cannot read."""
    own = {each.topic() for each in pushed if each.source == app}
    return own | {each for each in topics_reacted_to(app, pushed) if "dead" in each}


def topics_reacted_to(app: str, pushed: list[type[Event]]) -> set[str]:
    """Return what a service subscribes to: nothing, where no scope at all would be everything."""
    package = app.replace("-", "_")
    taken = {
        event.topic()
        for event in pushed
        for service, _ in services.reactions_to(event)
        if service == package
    }
    return {*taken, f"{app}-dead-letter"} if taken else {""}


def topics(scopes: str) -> dict[str, set[str]]:
    """Return the topics of each app."""
    pairs = (each.split("=") for each in scopes.split(";"))
    return {app: set(names.split(",")) for app, names in pairs}


def test_nothing_but_yaml_lies_among_the_components() -> None:
    others = [
        named(path)
        for path in COMPONENTS.rglob("*")
        if path.is_file() and path.suffix != ".yaml"
    ]

    assert others == []


def test_each_component_setting_is_said_once_and_has_a_value() -> None:
    components = [each for each in RESOURCES if read(each)["kind"] == "Component"]

    for path in components:
        items = read(path)["spec"]["metadata"]
        names = [each["name"] for each in items]
        assert len(set(names)) == len(names), named(path)
        for each in items:
            assert len(each.keys() & {"value", "envRef", "secretKeyRef"}) == 1, each
            assert isinstance(each.get("value", ""), str), f"{each} must be quoted"


@pytest.mark.parametrize("folder", BROKERS, ids=named)
def test_a_brokers_folder_has_its_pubsub_and_its_subscription(folder: Path) -> None:
    pubsub, subscription = (
        read(folder / name) for name in ("pubsub.yaml", "subscription.yaml")
    )

    assert pubsub["spec"]["type"] == f"pubsub.{folder.name}"
    assert pubsub["spec"]["version"] == "v1"
    assert set(pubsub["scopes"]) == app_ids()
    assert subscription["apiVersion"] == "orders-on-dapr/v1"
    assert subscription["kind"] == "SubscriptionTuning"  # not one that daprd would load


@pytest.mark.parametrize("folder", BROKERS, ids=named)
def test_a_broker_is_told_to_lose_nothing(folder: Path) -> None:
    told = settings_of(folder / "pubsub.yaml")

    wanted = LOSES_NOTHING[folder.name]
    assert {name: told.get(name) for name in wanted} == wanted
    assert not told.keys() & DROPS_MESSAGES


@pytest.mark.parametrize("folder", BROKERS, ids=named)
def test_a_sidecar_starts_without_its_broker(folder: Path) -> None:
    assert read(folder / "pubsub.yaml")["spec"]["ignoreErrors"] is True


def test_rabbitmq_hands_out_no_more_than_a_sidecar_works_on() -> None:
    told = settings_of(COMPONENTS / "rabbitmq" / "pubsub.yaml")

    assert 0 < int(told["prefetchCount"]) <= 255  # it is a uint8, and 0 means no limit


def test_what_a_dead_sidecar_held_is_taken_over_by_redis_component() -> None:
    told = settings_of(COMPONENTS / "redis" / "pubsub.yaml")

    # Either at 0 would switch it off; what waits in memory counts as being processed.
    assert 0 < int(told["redeliverInterval"]) <= int(told["processingTimeout"])
    assert int(told["queueDepth"]) <= int(told["concurrency"])


def test_kafka_is_spoken_to_as_it_still_understands() -> None:
    told = settings_of(COMPONENTS / "kafka" / "pubsub.yaml")

    assert tuple(map(int, told["version"].split("."))) >= (2, 1)  # Kafka 4's least


def test_rabbitmqs_queue_is_replicated_where_there_are_nodes() -> None:
    subscription = read(COMPONENTS / "rabbitmq" / "subscription.yaml")

    assert subscription["metadata"]["queueType"] == "quorum"


@pytest.mark.parametrize("way", MAILS)
def test_mails_leave_through_the_notification_services_sidecar_alone(way: str) -> None:
    email = read(MAIL / way / "email.yaml")

    assert email["spec"]["type"] == MAILS[way]
    assert email["scopes"] == ["notification"]
    assert email["spec"]["ignoreErrors"] is True


def test_each_way_of_mails_is_a_folder_that_can_be_chosen() -> None:
    assert {each.name for each in MAIL.iterdir()} == {*MAILS} == {*runfile.MAILS}


def test_no_policy_of_daprs_sends_a_mail_twice() -> None:
    spec = read(COMPONENTS / "resiliency.yaml")["spec"]

    assert not spec.get("targets")
    assert all("Inbound" in name for name in spec["policies"]["retries"])


def test_no_certificate_of_a_mail_server_is_taken_unseen() -> None:
    told = settings_of(MAIL / "smtp" / "email.yaml")

    assert told.get("skipTLSVerify", "false") == "false"
    assert not told.keys() & {"emailTo", "emailCC", "emailBCC", "subject"}


def test_daprd_waits_less_long_for_a_mail_api_than_the_service_for_daprd() -> None:
    waits = settings_of(MAIL / "api" / "email.yaml")["responseTimeout"]

    deadline = inspect.signature(Sidecar).parameters["send_deadline"].default
    assert int(waits.removesuffix("s")) < deadline


def test_a_delivery_is_tried_again_and_again() -> None:
    spec = read(COMPONENTS / "resiliency.yaml")["spec"]

    # The one name that daprd applies to every pub/sub component, and to nothing that leaves.
    retry = spec["policies"]["retries"].pop("DefaultPubsubComponentInboundRetryPolicy")
    assert retry["maxRetries"] == -1
    assert retry["policy"] == "constant"  # an exponential one ends after 15 minutes
    assert spec["policies"] == {"retries": {}}, "the relay retries by itself"


@pytest.mark.parametrize("folder", BROKERS, ids=named)
async def test_the_notification_service_hands_the_folders_tuning_on(
    folder: Path, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    settings = notification.Settings(
        database_url=f"sqlite:///{tmp_path}/notification.db",
        subscription_file=folder / "subscription.yaml",
    )

    async with running(notification.create_app(settings, dapr.sidecar())) as service:
        said, dead = (await service.http.get("/dapr/subscribe")).json()

    assert said["pubsubname"] == "pubsub"
    assert said["topic"] == "OrderCreated"
    assert said["route"] == "/events/OrderCreated"
    declared = read(folder / "subscription.yaml")
    tuning = declared["metadata"]
    assert said["metadata"] == tuning
    assert said["bulkSubscribe"] == {"enabled": True, **declared["bulkSubscribe"]}
    assert dead["metadata"] == {**tuning, "rawPayload": "true"}
    assert "bulkSubscribe" not in dead


@pytest.mark.parametrize("folder", BROKERS, ids=named)
def test_a_bulk_delivery_can_become_full(folder: Path) -> None:
    """One that never has so many events under way at once would wait for its time to pass."""
    most = read(folder / "subscription.yaml")["bulkSubscribe"]["maxMessagesCount"]
    told = settings_of(folder / "pubsub.yaml")
    under_way = {"rabbitmq": "prefetchCount", "redis": "concurrency"}

    if name := under_way.get(folder.name):
        assert most <= int(told[name])
