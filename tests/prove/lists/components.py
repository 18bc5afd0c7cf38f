"""What Dapr is told in YAML: brokers that lose nothing they can keep, deliveries without end, mails once."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "components/test_yaml"


def _told(name: str, broker: str, setting: str, to: str, instead: str) -> Safeguard:
    """Tell a broker's component something else."""
    return Safeguard(
        name,
        f"components/{broker}/pubsub.yaml",
        f"    - name: {setting}\n      value: {to}\n",
        f"    - name: {setting}\n      value: {instead}\n",
        tests(_FILE, f"a_broker_is_told_to_lose_nothing[components/{broker}]"),
    )


SAFEGUARDS = (
    _told("RabbitMQ's queues outlive it", "rabbitmq", "durable", '"true"', '"false"'),
    _told("RabbitMQ keeps messages on disk", "rabbitmq", "deliveryMode", '"2"', '"1"'),
    _told(
        "RabbitMQ confirms what it has",
        *("rabbitmq", "publisherConfirm", '"true"', '"false"'),
    ),
    _told(
        "RabbitMQ gets back what was not processed",
        *("rabbitmq", "requeueInFailure", '"true"', '"false"'),
    ),
    _told(
        "RabbitMQ's queue outlives its consumer",
        *("rabbitmq", "deletedWhenUnused", '"false"', '"true"'),
    ),
    _told(
        "RabbitMQ hears when a message was processed",
        *("rabbitmq", "autoAck", '"false"', '"true"'),
    ),
    _told(
        "RabbitMQ moves nothing to where nobody reads",
        *("rabbitmq", "enableDeadLetter", '"false"', '"true"'),
    ),
    _told(
        "RabbitMQ's messages are worked on side by side",
        *("rabbitmq", "concurrencyMode", "parallel", "single"),
    ),
    Safeguard(
        "RabbitMQ's queue is replicated where there are nodes",
        "components/rabbitmq/subscription.yaml",
        "queueType: quorum",
        "queueType: classic",
        tests(_FILE, "rabbitmqs_queue_is_replicated_where_there_are_nodes"),
    ),
    _told(
        "Redis keeps for a service what it has not read",
        *("redis", "consumerID", '"{appID}"', '"one-for-all"'),
    ),
    Safeguard(
        "what a dead sidecar held is taken over from Redis",
        "components/redis/pubsub.yaml",
        '    - name: processingTimeout\n      value: "15000"\n',
        '    - name: processingTimeout\n      value: "0"\n',
        tests(_FILE, "what_a_dead_sidecar_held_is_taken_over_by_redis_component"),
    ),
    _told(
        "Kafka begins with the oldest",
        *("kafka", "initialOffset", "oldest", "newest"),
    ),
    _told(
        "Kafka answers when every replica has it",
        *("kafka", "producerRequiredAcks", "all", "local"),
    ),
    _told(
        "Kafka passes over nothing that failed",
        *("kafka", "consumeRetryEnabled", '"true"', '"false"'),
    ),
    Safeguard(
        "a sidecar starts without its broker",
        "components/rabbitmq/pubsub.yaml",
        "  ignoreErrors: true\n",
        "  ignoreErrors: false\n",
        tests(_FILE, "a_sidecar_starts_without_its_broker[components/rabbitmq]"),
    ),
    Safeguard(
        "a setting that is misspelt is found",
        "components/rabbitmq/pubsub.yaml",
        "    - name: publisherConfirm\n",
        "    - name: publisherConfirms\n",
        tests(
            "components/test_fields",
            "a_component_has_only_fields_that_it_reads_with_values_that_fit",
        ),
    ),
    Safeguard(
        "a delivery is tried without limit",
        "components/resiliency.yaml",
        "maxRetries: -1",
        "maxRetries: 3",
        tests(_FILE, "a_delivery_is_tried_again_and_again"),
    ),
    Safeguard(
        "a delivery is tried for longer than a quarter of an hour",
        "components/resiliency.yaml",
        "policy: constant",
        "policy: exponential",
        tests(_FILE, "a_delivery_is_tried_again_and_again"),
    ),
    Safeguard(
        "a publish is tried again by the relay alone",
        "components/resiliency.yaml",
        "        inbound:\n          retry: untilTakenIn\n",
        "        inbound:\n          retry: untilTakenIn\n"
        "        outbound:\n          retry: untilTakenIn\n",
        tests(_FILE, "a_delivery_is_tried_again_and_again"),
    ),
    Safeguard(
        "no policy of Dapr's sends a mail twice",
        "components/resiliency.yaml",
        "    components:\n",
        "    components:\n      email:\n        outbound:\n          retry: untilTakenIn\n",
        tests(_FILE, "no_policy_of_daprs_sends_a_mail_twice"),
    ),
    Safeguard(
        "mails leave through one service's sidecar alone",
        "components/mail/smtp/email.yaml",
        "scopes:\n  - notification\n",
        "scopes:\n  - notification\n  - order\n",
        tests(
            _FILE, "mails_leave_through_the_notification_services_sidecar_alone[smtp]"
        ),
    ),
    Safeguard(
        "no certificate of a mail server is taken unseen",
        "components/mail/smtp/email.yaml",
        "    - name: emailFrom\n",
        '    - name: skipTLSVerify\n      value: "true"\n    - name: emailFrom\n',
        tests(_FILE, "no_certificate_of_a_mail_server_is_taken_unseen"),
    ),
    Safeguard(
        "what a broker's folder says of subscriptions reaches daprd",
        "chassis/subscriptions.py",
        "            metadata={**self._tuning, **raw},\n",
        "            metadata=raw,\n",
        tests(
            _FILE,
            "the_notification_service_hands_the_folders_tuning_on[components/rabbitmq]",
        ),
    ),
    Safeguard(
        "an app's health is watched",
        "dapr.yaml",
        "  enableAppHealthCheck: true\n",
        "  enableAppHealthCheck: false\n",
        tests("components/test_run_file", "the_apps_health_is_watched"),
    ),
    Safeguard(
        "an app is one process",
        "dapr.yaml",
        "      - --port=8001\n",
        "      - --port=8001\n      - --workers=2\n",
        tests("components/test_run_file", "an_app_is_one_process[order]"),
    ),
    Safeguard(
        "nothing listens beyond this machine",
        "dapr.yaml",
        "  apiListenAddresses: 127.0.0.1\n",
        "  apiListenAddresses: 0.0.0.0\n",
        tests("components/test_run_file", "sidecars_and_apps_listen_on_loopback_only"),
    ),
)
