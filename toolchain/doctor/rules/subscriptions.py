"""Rules on subscriptions: the declared ones, and the tuning that this project's services hand on."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from toolchain.doctor import yaml_files
from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.metadata import table
from toolchain.doctor.project import Project, only_publishes, settings
from toolchain.doctor.rules.scopes import meet
from toolchain.doctor.yaml_files import Document

SETTLED = ("bulkSubscribe.maxMessagesCount", "bulkSubscribe.maxAwaitDurationMs")
WORKS_ON = {
    "pubsub.rabbitmq": ("prefetchCount", None),
    "pubsub.redis": ("concurrency", "10"),
}
"""The setting of a component that says how many messages it has under way at once, and its default."""


def subscription_pubsub_unknown(project: Project) -> Iterator[Problem]:
    """A subscription to a component that is not there.

    The sidecar writes one line into its log, and nothing is ever delivered. Names are compared letter by letter.
    Where no run file names the folder, only names that look like another are reported.
    """
    for part in project.resources:
        names = project.names_beside(part)
        for each in part.of_kind("Subscription"):
            name = each.text("spec", "pubsubname")
            near = get_close_matches(name.lower(), names, n=1, cutoff=0.8)
            # What no run file names may be loaded with components that are elsewhere.
            if name not in names and (near or part.is_declared):
                message = f"`pubsubname: {name}` is no component here" + (
                    f": {near[0]} is meant?" if near else ""
                )
                yield each.problem(message, "spec", "pubsubname")


def subscription_route_missing(project: Project) -> Iterator[Problem]:
    """A subscription without a route that its version reads.

    `v1alpha1` reads `route`; `v2alpha1` reads `routes`, with a `default` or `rules`. The other's key is ignored:
    messages are acknowledged and reach nobody, or are posted to `/`.
    """
    for each in project.of_kind("Subscription"):
        is_second = each.text("apiVersion").endswith("v2alpha1")
        spec = each.mapping("spec")
        if is_second and not (
            each.text("spec", "routes", "default")
            or each.items("spec", "routes", "rules")
        ):
            told = ", not `route`" if "route" in spec else ""
            yield each.problem(
                f"has no `routes.default` or `routes.rules`, which v2alpha1 reads{told}",
                "spec",
            )
        if not is_second and not each.text("spec", "route"):
            told = ", not `routes`" if "routes" in spec else ""
            yield each.problem(f"has no `route`, which v1alpha1 reads{told}", "spec")


def subscription_without_dead_letter(project: Project) -> Iterator[Problem]:
    """A subscription without a dead-letter topic.

    What the app refuses until the retries end, or drops, goes back to the broker's component. RabbitMQ delivers it
    again at once, or throws it away; Redis acknowledges it, and it is lost; Kafka's partition waits behind it.
    """
    for each in project.of_kind("Subscription"):
        if not each.text("spec", "deadLetterTopic"):
            topic = each.text("spec", "topic")
            yield each.problem(
                f"`topic: {topic}` has no `deadLetterTopic`", "spec", "topic"
            )


def dead_letter_topic_loops(project: Project) -> Iterator[Problem]:
    """A dead-letter topic that is the topic itself.

    What fails is published again to where it came from, and fails again, for ever.
    """
    for each in project.of_kind("Subscription"):
        topic = each.text("spec", "topic")
        if topic and topic == each.text("spec", "deadLetterTopic"):
            yield each.problem(
                f"`deadLetterTopic: {topic}` is the topic itself",
                "spec",
                "deadLetterTopic",
            )


def subscription_twice(project: Project) -> Iterator[Problem]:
    """Two subscriptions of one app to one topic.

    A sidecar keeps the first for each pub/sub component and topic, and drops the other without a word.
    """
    for part in project.resources:
        first: dict[tuple[str, str], list[Document]] = {}
        for each in part.of_kind("Subscription"):
            topic = each.text("spec", "pubsubname"), each.text("spec", "topic")
            for before in first.setdefault(topic, []):
                scopes = (
                    {*map(str, before.items("scopes"))},
                    {*map(str, each.items("scopes"))},
                )
                if not all(scopes) or scopes[0] & scopes[1]:
                    message = f"`topic: {topic[1]}` is in `{before.name}` too, and one of them is dropped"
                    yield each.problem(message, "spec", "topic")
                    break
            first[topic].append(each)


def subscription_name_twice(project: Project) -> Iterator[Problem]:
    """Two subscriptions with one name.

    A sidecar that loads both keeps the one that it reads last, and drops the other without a word.
    """
    for part in project.resources:
        subscriptions = part.of_kind("Subscription") if part.is_judged else []
        for number, each in enumerate(subscriptions):
            same = [
                before
                for before in subscriptions[:number]
                if before.name == each.name and meet(before, each)
            ]
            for before in same[:1]:
                where = f"{before.file.name}:{before.line('metadata', 'name')}"
                message = f"`metadata.name: {each.name}` is in {where} too, and one of them is dropped"
                yield each.problem(message, "metadata", "name")


def subscription_cuts_queue(project: Project) -> Iterator[Problem]:
    """A limit in a subscription with which RabbitMQ makes no queue.

    `maxLen` and `maxLenBytes` of a subscription are numbers of a kind that daprd cannot send to RabbitMQ:
    the queue is never declared, nothing is delivered, and the app counts as ready. daprd tries again without a
    pause, and writes megabytes of errors a second.
    """
    for document, kind, path in _subscribing(project):
        for name in document.mapping(*path) if kind == "pubsub.rabbitmq" else ():
            if name.lower() in ("maxlen", "maxlenbytes"):
                yield document.problem(
                    f"`{name}` leaves no queue at all: daprd cannot declare it",
                    *path,
                    name,
                )


def subscription_setting_unknown(project: Project) -> Iterator[Problem]:
    """A setting of a subscription that the component does not read.

    It is ignored without a word: with `queuetype` for `queueType`, say, the queue is a classic one, and cannot be
    changed later.
    """
    for document, kind, path in _subscribing(project):
        told = table.component(kind)
        if told is None or not told.is_reviewed:
            continue
        for name in document.mapping(*path):
            # rawPayload is daprd's own.
            if name not in told.subscription and name not in ("rawPayload", "isBulk"):
                near = get_close_matches(name, told.subscription, n=1, cutoff=0.8)
                meant = f": {near[0]} is meant?" if near else ""
                yield document.problem(
                    f"{kind} reads no `{name}` of a subscription{meant}", *path, name
                )


def subscription_setting_value(project: Project) -> Iterator[Problem]:
    """A value that a subscription's setting cannot have.

    The component refuses the subscription, and the sidecar tries it again without end.
    """
    for document, kind, path in _subscribing(project):
        told = table.component(kind)
        for name, value in document.mapping(*path).items():
            each = told.subscription.get(name) if told else None
            if each is None or not isinstance(value, str):
                continue
            if not each.allows(value) or not each.fits(value):
                wanted = " or ".join(each.allowed) or f"a {each.type}"
                yield document.problem(
                    f"`{name}` is {value!r}, and should be {wanted}", *path, name
                )


def quorum_queue_refused(project: Project) -> Iterator[Problem]:
    """A quorum queue that RabbitMQ refuses.

    A quorum queue is always durable, and is never deleted by itself. `deletedWhenUnused` is true unless it is set:
    the broker answers 406, the sidecar tries again without end, and while it does the other topics of the
    component starve.
    """
    for document, kind, path in _subscribing(project):
        if kind == "pubsub.rabbitmq" and document.text(*path, "queueType") == "quorum":
            for component in _components_of(project, document, kind):
                if (
                    settings(component).get("deletedWhenUnused") or "true"
                ).lower() == "true":
                    message = f"RabbitMQ refuses it while `deletedWhenUnused` of `{component.name}` is true"
                    yield document.problem(message, *path, "queueType")


def bulk_larger_than_work(project: Project) -> Iterator[Problem]:
    """A bulk that can never become full.

    The component hands on no more messages at once than it has under way. A bulk of more waits each time until
    `maxAwaitDurationMs` has passed.
    """
    for document, kind, path in _subscribing(project):
        bulk = (*path[:-1], "bulkSubscribe", "maxMessagesCount")
        wants = document.text(*bulk)
        for component in _components_of(project, document, kind):
            limit, default = WORKS_ON[kind]
            has = settings(component).get(limit, default) or ""
            if has.isdecimal() and wants.isdecimal() and int(wants) > int(has) > 0:
                message = f"`maxMessagesCount: {wants}` is more than `{limit}: {has}` of `{component.name}`"
                yield document.problem(message, *bulk)


def _components_of(project: Project, document: Document, kind: str) -> list[Document]:
    of_kind = [
        each
        for each in project.components
        if each.text("spec", "type") == kind and kind in WORKS_ON
    ]
    if document.kind == "Subscription":
        return [
            each for each in of_kind if each.name == document.text("spec", "pubsubname")
        ]
    # The tuning of a broker lies beside its components, of which some only publish.
    beside = [each for each in of_kind if _is_beside(each, document.file)]
    return [each for each in beside if not only_publishes(each, beside)]


def tuning_of_another_kind(project: Project) -> Iterator[Problem]:
    """A subscription file that the services cannot use.

    `SUBSCRIPTION_FILE` names a `SubscriptionTuning`, a kind of this project's own. An empty file, a list, or a
    `Subscription` of Dapr's leaves the services without it, or ends them.
    """
    for file, _ in project.tunings:
        read = yaml_files.read(file)
        document = read.documents[0] if read.documents else None
        if document is None or document.kind != "SubscriptionTuning":
            line = read.fault[1] if read.fault else 1
            yield Problem(
                file,
                line,
                "kind",
                "is no `kind: SubscriptionTuning`, and so no service can use it",
            )
            continue
        for each in SETTLED:
            if not document.text(*each.split(".")).isdecimal():
                yield document.problem(
                    f"has no whole number in `{each}`", *each.split(".")
                )
        if document.at("metadata") and not isinstance(document.at("metadata"), dict):
            yield document.problem("has a `metadata` that is no mapping", "metadata")


def _subscribing(project: Project) -> Iterator[tuple[Document, str, tuple[str, ...]]]:
    """Yield what has settings of a subscription: the document, the component's type, and where they stand."""
    for part in project.resources:
        beside = project.typed(part)
        for each in part.of_kind("Subscription"):
            if component := beside.get(each.text("spec", "pubsubname")):
                yield each, component.text("spec", "type"), ("spec", "metadata")
    for file, _ in project.tunings:
        tunings = [
            each
            for each in yaml_files.read(file).documents
            if each.kind == "SubscriptionTuning"
        ]
        beside_it = [each for each in project.components if _is_beside(each, file)]
        for kind in sorted({each.text("spec", "type") for each in beside_it}):
            yield from ((document, kind, ("metadata",)) for document in tunings)


def _is_beside(document: Document, file: Path) -> bool:
    return document.file.parent.resolve() == file.parent.resolve()


RULES = [
    Rule(
        subscription_pubsub_unknown,
        Severity.ERROR,
        "Correct the name, or add the component.",
    ),
    Rule(
        subscription_route_missing,
        Severity.ERROR,
        "Add the route, in the form of its `apiVersion`.",
    ),
    Rule(
        subscription_without_dead_letter,
        Severity.WARNING,
        "Add one, and something that keeps what arrives there.",
    ),
    Rule(dead_letter_topic_loops, Severity.ERROR, "Name another topic."),
    Rule(
        subscription_twice,
        Severity.ERROR,
        "Remove one, or give them scopes that do not meet.",
    ),
    Rule(subscription_name_twice, Severity.ERROR, "Rename one, or remove it."),
    Rule(
        subscription_cuts_queue,
        Severity.FATAL,
        "Remove it; a policy of the broker can limit a queue.",
    ),
    Rule(
        subscription_setting_unknown,
        Severity.WARNING,
        "Correct the name, or remove it.",
    ),
    Rule(subscription_setting_value, Severity.FATAL, "Correct the value."),
    Rule(
        quorum_queue_refused,
        Severity.FATAL,
        'Set `deletedWhenUnused` of the component to "false".',
    ),
    Rule(bulk_larger_than_work, Severity.INFO, "Make the bulk no larger than that."),
    Rule(
        tuning_of_another_kind,
        Severity.FATAL,
        "Write it as components/redis/subscription.yaml is.",
    ),
]
