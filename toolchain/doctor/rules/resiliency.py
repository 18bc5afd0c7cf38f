"""Rules on resiliency: policies that do nothing, end too early, or repeat what must not be repeated."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.project import Project, Resources
from toolchain.doctor.yaml_files import Document

SECTIONS = {
    "timeouts": "timeout",
    "retries": "retry",
    "circuitBreakers": "circuitBreaker",
}
DEFAULT = re.compile(
    r"Default(App|Actor|(Statestore|Pubsub|Binding|Secretstore|Configuration|Lock|Crypto|Conversation)"
    r"Component(Inbound|Outbound)|Component(Inbound|Outbound)?)?(Retry|Timeout|CircuitBreaker)Policy"
)
BUILT_IN = re.compile(
    r"DaprBuiltIn(ServiceRetries|ActorRetries|ActorReminderRetries|InitializationRetries|ActorNotFoundRetries)"
)
KEYS = {
    "retries": {"policy", "duration", "maxInterval", "maxRetries", "matching"},
    "circuitBreakers": {"maxRequests", "interval", "timeout", "trip"},
}
TARGETS = {
    "apps": {"timeout", "retry", "circuitBreaker", "circuitBreakerCacheSize"},
    "actors": {
        "timeout",
        "retry",
        "circuitBreaker",
        "circuitBreakerScope",
        "circuitBreakerCacheSize",
    },
    "components": {"inbound", "outbound"},
}
DURATION = re.compile(r"-?\d+|-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
TIMES = {
    "retries": ("duration", "maxInterval"),
    "circuitBreakers": ("interval", "timeout"),
}
MAILS = (
    "bindings.smtp",
    "bindings.twilio.sendgrid",
    "bindings.postmark",
    "bindings.aws.ses",
    "bindings.twilio.sms",
)
"""The bindings whose message arrives twice when a call is repeated."""
DELIVERING = [
    f"Default{level}RetryPolicy"
    for level in ("PubsubComponentInbound", "ComponentInbound", "Component", "")
]
SENDING = [
    f"Default{level}RetryPolicy"
    for level in ("BindingComponentOutbound", "ComponentOutbound", "Component", "")
]
"""The policies that Dapr applies by itself, of which the first that is there counts."""

Path = tuple[str, ...]


def resiliency_policy_undefined(project: Project) -> Iterator[Problem]:
    """A policy that a target names and nobody defines.

    The sidecar ignores it without a word: the target has no such policy.
    """
    for document in project.of_kind("Resiliency"):
        for path, key, name in _references(document):
            section = next(each for each, word in SECTIONS.items() if word == key)
            if name not in _policies(project, section) and not BUILT_IN.fullmatch(name):
                yield document.problem(
                    f"`{key}: {name}` is no policy in `policies.{section}`", *path, key
                )


def resiliency_target_unknown(project: Project) -> Iterator[Problem]:
    """A target that does not exist.

    Policies for a component or an app of another name do nothing, without a word. Where no run file names the
    folder, only names that look like another are reported.
    """
    for part in project.resources:
        names = {"components": project.names_beside(part), "apps": {*project.app_ids}}
        for document in part.of_kind("Resiliency"):
            for kind, known in names.items():
                for name in document.mapping("spec", "targets", kind) if known else ():
                    near = get_close_matches(name.lower(), known, n=1, cutoff=0.8)
                    # What no run file names may be loaded with components, and call apps, that are elsewhere.
                    if name not in known and (near or part.is_declared):
                        meant = f": {near[0]} is meant?" if near else ""
                        message = f"`{name}` is none of the {kind} here{meant}"
                        yield document.problem(message, "spec", "targets", kind, name)


def resiliency_inbound_ends(project: Project) -> Iterator[Problem]:
    """A retry of deliveries that ends.

    After the last try the message goes to the dead-letter topic, or back to the broker's component, which delivers
    it again at once, acknowledges it (it is lost), or blocks. Retries end after `maxRetries`, and with an
    exponential policy after 15 minutes. Not reported where every declared subscription has a dead-letter topic.
    """
    subscriptions = project.of_kind("Subscription")
    if subscriptions and all(
        each.text("spec", "deadLetterTopic") for each in subscriptions
    ):
        return
    for document in project.of_kind("Resiliency"):
        for name in _inbound(project, document):
            retry = document.mapping("spec", "policies", "retries", name)
            path = ("spec", "policies", "retries", name)
            if str(retry.get("maxRetries", "-1")) not in ("-1", ""):
                message = f"`{name}` retries deliveries {retry['maxRetries']} times, then gives up"
                yield document.problem(message, *path, "maxRetries")
            elif retry.get("policy") == "exponential":
                yield document.problem(
                    f"`{name}` retries deliveries for 15 minutes, then gives up",
                    *path,
                    "policy",
                )


def _inbound(project: Project, document: Document) -> list[str]:
    pubsubs = {
        each.name
        for each in project.components
        if each.text("spec", "type").startswith("pubsub.")
    }
    defined = document.mapping("spec", "policies", "retries")
    found = {*[each for each in DELIVERING if each in defined][:1]}
    for name in document.mapping("spec", "targets", "components"):
        if name in pubsubs:
            found.add(
                document.text("spec", "targets", "components", name, "inbound", "retry")
            )
    return [each for each in defined if each in found]


def resiliency_repeats_mail(project: Project) -> Iterator[Problem]:
    """A retry around a binding that sends mail.

    A call that failed may have sent the mail all the same: its answer was lost. Each retry then sends it again.
    """
    for part in project.resources:
        mails = [
            each
            for each in _beside(project, part)
            if each.text("spec", "type") in MAILS
        ]
        for document in part.of_kind("Resiliency") if mails else ():
            names = {each.name for each in mails}
            for name in document.mapping("spec", "targets", "components"):
                if name in names and document.text(
                    "spec", "targets", "components", name, "outbound", "retry"
                ):
                    path = ("spec", "targets", "components", name, "outbound", "retry")
                    yield document.problem(
                        f"a retry of `{name}` may send a mail twice", *path
                    )
            defaults = [
                each
                for each in SENDING
                if document.mapping("spec", "policies", "retries", each)
            ]
            for name in defaults[:1]:
                message = f"`{name}` retries `{mails[0].name}` too, which may send a mail twice"
                yield document.problem(message, "spec", "policies", "retries", name)


def resiliency_publish_timeout(project: Project) -> Iterator[Problem]:
    """A time-out around RabbitMQ's publish.

    The component returns success when its context ends while it waits for a connection: a publish that timed out
    may be answered as sent, and is lost.
    """
    for part in project.resources:
        rabbits = {
            each.name
            for each in _beside(project, part)
            if each.text("spec", "type") == "pubsub.rabbitmq"
        }
        for document in part.of_kind("Resiliency"):
            for name in document.mapping("spec", "targets", "components"):
                path = ("spec", "targets", "components", name, "outbound", "timeout")
                if name in rabbits and document.text(*path):
                    message = f"with a time-out `{name}` may answer that it sent what it did not"
                    yield document.problem(message, *path)


def resiliency_key_unknown(project: Project) -> Iterator[Problem]:
    """A key of a policy or a target that Dapr does not read.

    It is ignored without a word, and the default counts: `maxRetry` for `maxRetries` retries without limit, and
    policies directly under a component, without `inbound` or `outbound`, do nothing.
    """
    for document in project.of_kind("Resiliency"):
        for section, known in KEYS.items():
            for name in document.mapping("spec", "policies", section):
                yield from _strangers(
                    document, known, ("spec", "policies", section, name)
                )
        for kind, known in TARGETS.items():
            for name in document.mapping("spec", "targets", kind):
                yield from _strangers(document, known, ("spec", "targets", kind, name))


def _strangers(document: Document, known: set[str], path: Path) -> Iterator[Problem]:
    for key in document.mapping(*path):
        if key not in known:
            message = f"`{key}` is nothing that Dapr reads there; it reads {', '.join(sorted(known))}"
            yield document.problem(message, *path, key)


def resiliency_duration(project: Project) -> Iterator[Problem]:
    """A duration that Dapr cannot read.

    One such value, and the sidecar passes the rest of the file over, with a line in its log.
    """
    for document in project.of_kind("Resiliency"):
        for path in _durations(document):
            value = document.text(*path)
            if value and not DURATION.fullmatch(value):
                yield document.problem(f"`{path[-1]}: {value}` is no duration", *path)


def _durations(document: Document) -> Iterator[Path]:
    policies = ("spec", "policies")
    yield from (
        (*policies, "timeouts", name)
        for name in document.mapping(*policies, "timeouts")
    )
    for section, keys in TIMES.items():
        for name in document.mapping(*policies, section):
            yield from ((*policies, section, name, key) for key in keys)


def resiliency_default_misspelt(project: Project) -> Iterator[Problem]:
    """A policy that looks like a default of Dapr's, and is none.

    Dapr applies policies with certain names by itself, such as `DefaultPubsubComponentInboundRetryPolicy`. With a
    letter more or less the policy is an ordinary one, that nothing refers to.
    """
    for document in project.of_kind("Resiliency"):
        used = {name for _, _, name in _references(document)}
        for section in SECTIONS:
            for name in document.mapping("spec", "policies", section):
                is_known = DEFAULT.fullmatch(name) or BUILT_IN.fullmatch(name)
                if (
                    name.lower().startswith(("default", "daprbuiltin"))
                    and not is_known
                    and name not in used
                ):
                    message = f"`{name}` is no name that Dapr applies by itself"
                    yield document.problem(message, "spec", "policies", section, name)


def resiliency_policy_unused(project: Project) -> Iterator[Problem]:
    """A policy that nothing refers to.

    It has no effect.
    """
    used = {
        name
        for document in project.of_kind("Resiliency")
        for _, _, name in _references(document)
    }
    for document in project.of_kind("Resiliency"):
        for section in SECTIONS:
            for name in document.mapping("spec", "policies", section):
                if name not in used and not name.lower().startswith(
                    ("default", "daprbuiltin")
                ):
                    yield document.problem(
                        f"`{name}` is used by no target",
                        "spec",
                        "policies",
                        section,
                        name,
                    )


def _references(document: Document) -> Iterator[tuple[Path, str, str]]:
    """Yield where a target names a policy, the kind of policy, and its name."""
    for kind in TARGETS:
        for target in document.mapping("spec", "targets", kind):
            base = ("spec", "targets", kind, target)
            for path in (base, (*base, "inbound"), (*base, "outbound")):
                for key in SECTIONS.values():
                    if name := document.text(*path, key):
                        yield path, key, name


def _policies(project: Project, section: str) -> set[str]:
    return {
        name
        for document in project.of_kind("Resiliency")
        for name in document.mapping("spec", "policies", section)
    }


def _beside(project: Project, part: Resources) -> list[Document]:
    return [*project.typed(part).values()]


RULES = [
    Rule(
        resiliency_policy_undefined, Severity.ERROR, "Define it, or correct the name."
    ),
    Rule(resiliency_target_unknown, Severity.WARNING, "Correct the name."),
    Rule(
        resiliency_inbound_ends,
        Severity.WARNING,
        "Retry without limit (`constant`, -1), or add a dead-letter topic.",
    ),
    Rule(
        resiliency_repeats_mail,
        Severity.ERROR,
        "Remove it, and repeat only what is known not to have been sent.",
    ),
    Rule(
        resiliency_publish_timeout,
        Severity.ERROR,
        "Remove it, and let the client wait no longer than that.",
    ),
    Rule(resiliency_key_unknown, Severity.ERROR, "Correct the key."),
    Rule(
        resiliency_duration,
        Severity.ERROR,
        "Write a number with a unit: 500ms, 5s, 2m.",
    ),
    Rule(
        resiliency_default_misspelt,
        Severity.WARNING,
        "Correct the name, or let a target refer to it.",
    ),
    Rule(
        resiliency_policy_unused,
        Severity.INFO,
        "Remove it, or let a target refer to it.",
    ),
]
