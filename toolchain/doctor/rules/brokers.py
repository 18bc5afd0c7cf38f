"""Rules on what is known of brokers' components: settings that lose, repeat or hold back messages."""

import re
from collections.abc import Iterator

from chassis.flaws import numbers
from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.project import Project, only_publishes, place_of, settings
from toolchain.doctor.yaml_files import Document

RABBITMQ, REDIS, KAFKA = "pubsub.rabbitmq", "pubsub.redis", "pubsub.kafka"
DROPS = {
    RABBITMQ: ("maxLen", "maxLenBytes", "ttlInSeconds"),
    REDIS: ("maxLenApprox", "streamTTL"),
}
TRUTHS = ("true", "1", "t", "y", "yes", "on")


def messages_cut_off(project: Project) -> Iterator[Problem]:
    """A limit that removes messages nobody has read.

    A queue or stream of limited length or age drops the oldest messages, whether they were handled or not: a
    consumer that is away for an hour loses what came first.
    """
    for kind, names in DROPS.items():
        for component, told in _of_type(project, kind):
            for name in names:
                if told.get(name):
                    yield component.problem(
                        f"`{name}` removes messages that nobody has read",
                        *place_of(component, name),
                    )


def rabbitmq_queue_deleted(project: Project) -> Iterator[Problem]:
    """A queue that RabbitMQ deletes with its last consumer.

    `deletedWhenUnused` is true unless it is set: when the app's last sidecar stops, the queue goes, with every
    message in it, and what is published until the app is back reaches nobody. An existing queue cannot be
    changed: the broker answers 406 for ever until the queue is deleted by hand.
    """
    for component, told in _subscribing(project, RABBITMQ):
        if _is(told, "deletedWhenUnused", default="true"):
            message = (
                "`deletedWhenUnused` is true: the queue is deleted when the app stops"
            )
            yield component.problem(message, *place_of(component, "deletedWhenUnused"))


def rabbitmq_not_persistent(project: Project) -> Iterator[Problem]:
    """Messages that do not outlive RabbitMQ's restart.

    `deliveryMode` is 0 unless it is set: messages are kept in memory. Only mode 2, in a durable queue, is written
    to disk.
    """
    for component, told in _of_type(project, RABBITMQ):
        if not _is(told, "durable", default="true"):
            yield component.problem(
                "`durable: false` loses the queue with a restart",
                *place_of(component, "durable"),
            )
        if told.get("deliveryMode", "0") not in ("2", None):
            message = "`deliveryMode` is not 2: messages are lost with a restart of the broker"
            yield component.problem(message, *place_of(component, "deliveryMode"))


def rabbitmq_publish_unconfirmed(project: Project) -> Iterator[Problem]:
    """A publish that RabbitMQ does not confirm.

    Without `publisherConfirm` the sidecar answers as soon as the message is written to the connection: a broker
    that is full, or dies just then, loses it after the app was told that it is sent.
    """
    for component, told in _of_type(project, RABBITMQ):
        if not _is(told, "publisherConfirm", default="false"):
            message = "`publisherConfirm` is off: a publish is answered before the broker has it"
            yield component.problem(message, *place_of(component, "publisherConfirm"))


def rabbitmq_failed_thrown_away(project: Project) -> Iterator[Problem]:
    """A failed delivery that RabbitMQ throws away.

    Without `requeueInFailure`, and without `enableDeadLetter`, the broker drops what the app refuses, and also
    what the sidecar holds when it stops.
    """
    for component, told in _subscribing(project, RABBITMQ):
        if not _is(told, "requeueInFailure", default="false") and not _is(
            told, "enableDeadLetter", default="false"
        ):
            message = "`requeueInFailure` is off: what the app refuses, or a stopping sidecar holds, is lost"
            yield component.problem(message, *place_of(component, "requeueInFailure"))


def rabbitmq_acknowledged_unread(project: Project) -> Iterator[Problem]:
    """Messages that are acknowledged before they are handled.

    With `autoAck` the broker forgets a message once it is sent: whatever a crashed app had in hand is lost.
    """
    for component, told in _of_type(project, RABBITMQ):
        if _is(told, "autoAck", default="false"):
            yield component.problem(
                "`autoAck` forgets messages before they are handled",
                *place_of(component, "autoAck"),
            )


def rabbitmq_prefetch(project: Project) -> Iterator[Problem]:
    """A prefetch that is unlimited, or larger than it can be.

    `prefetchCount` is unlimited unless it is set: one sidecar takes the whole queue into its memory, and replicas
    get nothing. It is a number of 8 bits: above 255 the component does not start.
    """
    for component, told in _subscribing(project, RABBITMQ):
        value = told.get("prefetchCount", "0")
        if value is not None and str(value).isdecimal() and not 0 < int(value) <= 255:
            what = (
                "is unlimited: one sidecar takes the whole queue"
                if int(value) == 0
                else "is more than 255"
            )
            yield component.problem(
                f"`prefetchCount` {what}", *place_of(component, "prefetchCount")
            )


def rabbitmq_concurrency_ignored(project: Project) -> Iterator[Problem]:
    """A concurrency that RabbitMQ's component ignores.

    Its documentation lists `concurrency`; its code reads `concurrencyMode` (`parallel` or `single`).
    """
    for component, told in _of_type(project, RABBITMQ):
        if "concurrency" in told:
            message = "`concurrency` is ignored: the component reads `concurrencyMode`"
            yield component.problem(
                message, *place_of(component, "concurrency")[:-1], "name"
            )


def redis_interval_ignored(project: Project) -> Iterator[Problem]:
    """A redelivery interval that Redis's component ignores.

    daprd before 1.19 reads `redeliverInterval` as a whole number of milliseconds, and takes its default, 15 s, for
    anything else without a word.
    """
    if project.daprd and numbers(project.daprd) >= (1, 19, 0):
        return
    for component, told in _of_type(project, REDIS):
        value = told.get("redeliverInterval")
        if isinstance(value, str) and re.fullmatch(
            r"[\d.]+(ns|us|µs|ms|s|m|h)+.*", value
        ):
            message = f"`redeliverInterval: {value}` is ignored: it is a whole number of milliseconds"
            yield component.problem(message, *place_of(component, "redeliverInterval"))


def redis_redelivery_off(project: Project) -> Iterator[Problem]:
    """Messages of a dead sidecar that nobody takes over.

    With `processingTimeout` or `redeliverInterval` at 0, what a sidecar held when it was killed stays pending in
    the stream for ever.
    """
    for component, told in _of_type(project, REDIS):
        for name in ("processingTimeout", "redeliverInterval"):
            value = told.get(name)
            if isinstance(value, str) and re.fullmatch(r"0+(ms|s|m|h)?", value):
                message = f"`{name}: {value}` leaves what a dead sidecar held for ever"
                yield component.problem(message, *place_of(component, name))


def redis_waiting_counts(project: Project) -> Iterator[Problem]:
    """A queue in the sidecar that is longer than what it works on.

    What waits in the sidecar's memory counts as being processed: with `queueDepth` above `concurrency`, a slow
    consumer's messages reach `processingTimeout` before their turn comes, and are delivered twice.
    """
    for component, told in _of_type(project, REDIS):
        depth, workers = told.get("queueDepth"), told.get("concurrency", "10")
        if (
            depth
            and workers
            and str(depth).isdecimal()
            and str(workers).isdecimal()
            and int(depth) > int(workers)
        ):
            message = f"`queueDepth: {depth}` is more than the {workers} that are worked on at once"
            yield component.problem(message, *place_of(component, "queueDepth"))


def kafka_starts_at_the_end(project: Project) -> Iterator[Problem]:
    """A consumer that passes over what came before it.

    `initialOffset` is `newest` unless it is set: a group that starts for the first time, or whose offsets have
    expired, begins after everything that was published until then.
    """
    for component, told in _subscribing(project, KAFKA):
        if told.get("initialOffset", "newest") == "newest":
            message = "`initialOffset` is newest: what was published before the first start is passed over"
            yield component.problem(message, *place_of(component, "initialOffset"))


def kafka_failed_passed_over(project: Project) -> Iterator[Problem]:
    """A failed message that Kafka's consumer passes over.

    Without `consumeRetryEnabled` a message that the app refuses is logged, and the offset moves past it.
    """
    for component, told in _of_type(project, KAFKA):
        if not _is(told, "consumeRetryEnabled", default="true"):
            message = (
                "`consumeRetryEnabled` is off: what the app refuses is passed over"
            )
            yield component.problem(
                message, *place_of(component, "consumeRetryEnabled")
            )


def kafka_version_too_old(project: Project) -> Iterator[Problem]:
    """A protocol that Kafka 4 no longer speaks.

    The client speaks as of `version`, 2.0.0 unless it is set. Kafka 4 answers clients from 2.1 on.
    """
    for component, told in _of_type(project, KAFKA):
        value = told.get("version", "2.0.0")
        parts = [int(each) for each in str(value).split(".") if each.isdecimal()]
        if value is not None and parts and tuple(parts[:2]) < (2, 1):
            message = f"`version` is {value}: Kafka 4 does not answer it"
            yield component.problem(message, *place_of(component, "version"))


def _of_type(
    project: Project, kind: str
) -> Iterator[tuple[Document, dict[str, str | None]]]:
    for component in project.components:
        if component.text("spec", "type") == kind:
            yield component, settings(component)


def _subscribing(
    project: Project, kind: str
) -> Iterator[tuple[Document, dict[str, str | None]]]:
    """Yield the components that somebody may subscribe through."""
    for component, told in _of_type(project, kind):
        if not only_publishes(component, project.components):
            yield component, told


def _is(told: dict[str, str | None], name: str, *, default: str) -> bool:
    value = told.get(name, default)
    return str(default if value is None else value).lower() in TRUTHS


RULES = [
    Rule(
        messages_cut_off,
        Severity.WARNING,
        "Remove it, and watch the length of the queue instead.",
    ),
    Rule(
        rabbitmq_queue_deleted,
        Severity.WARNING,
        'Set it to "false", and delete the queue once.',
    ),
    Rule(
        rabbitmq_not_persistent,
        Severity.WARNING,
        'Set `durable` to "true" and `deliveryMode` to "2".',
    ),
    Rule(rabbitmq_publish_unconfirmed, Severity.WARNING, 'Set it to "true".'),
    Rule(
        rabbitmq_failed_thrown_away,
        Severity.WARNING,
        'Set it to "true", with a retry policy so that it does not loop.',
    ),
    Rule(rabbitmq_acknowledged_unread, Severity.WARNING, 'Set it to "false".'),
    Rule(
        rabbitmq_prefetch,
        Severity.WARNING,
        "Set it to what one sidecar works on at once, such as 50.",
    ),
    Rule(
        rabbitmq_concurrency_ignored,
        Severity.WARNING,
        "Rename it to `concurrencyMode`.",
    ),
    Rule(redis_interval_ignored, Severity.ERROR, 'Write milliseconds: "5000".'),
    Rule(redis_redelivery_off, Severity.ERROR, "Set it above 0, in milliseconds."),
    Rule(redis_waiting_counts, Severity.INFO, "Set it to `concurrency`."),
    Rule(kafka_starts_at_the_end, Severity.WARNING, "Set it to `oldest`."),
    Rule(
        kafka_failed_passed_over,
        Severity.ERROR,
        'Set it to "true", with a dead-letter topic for what never succeeds.',
    ),
    Rule(
        kafka_version_too_old,
        Severity.WARNING,
        "Set it to 2.8.0, or the version of the broker.",
    ),
]
