"""Rules on scopes: which apps load a component, and which of them share its messages."""

from collections.abc import Iterator

from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.project import Project, Resources, place_of, settings
from toolchain.doctor.yaml_files import Document

GROUPS = {
    "pubsub.kafka": ("consumerGroup", "consumerID"),
    "pubsub.rabbitmq": ("consumerID",),
    "pubsub.redis": ("consumerID",),
}
"""The settings that name the group whose members share the messages of a topic."""


def component_without_scopes(project: Project) -> Iterator[Problem]:
    """A component that every app loads.

    Without `scopes` each sidecar connects with its credentials, whether its app needs them or not. Reported where
    a run file has several apps.
    """
    for part in project.resources:
        if len(part.apps) > 1:
            for component in part.of_kind("Component"):
                if not component.items("scopes"):
                    apps = ", ".join(part.apps)
                    yield component.problem(
                        f"`{component.name}` is loaded by every app: {apps}",
                        "metadata",
                        "name",
                    )


def scope_unknown(project: Project) -> Iterator[Problem]:
    """A scope that names no app.

    A sidecar compares its app id with the scopes letter by letter. An app that is renamed, or written in another
    case, no longer has the component, and learns of it when it first uses it. Reported where run files, or
    deployments, name the apps.
    """
    for part in project.resources:
        for document in part.documents if part.is_declared else ():
            for number, scope in enumerate(document.items("scopes")):
                if isinstance(scope, str) and scope not in project.app_ids:
                    message = f"no app has the id `{scope}`: there are {', '.join(sorted(project.app_ids))}"
                    yield document.problem(message, "scopes", number)


def consumer_group_shared(project: Project) -> Iterator[Problem]:
    """Apps that take each other's messages.

    Consumers of one group share the messages of a topic. Where a component names the group itself, and several
    apps load it, all of them are in that one group: of two that subscribe to a topic, each gets a part.
    """
    for part in project.resources:
        for component in part.of_kind("Component"):
            told, apps = settings(component), _apps(part, component)
            for name in (
                GROUPS.get(component.text("spec", "type"), ()) if len(apps) > 1 else ()
            ):
                group = told.get(name)
                if isinstance(group, str) and group and "{" not in group:
                    message = f"`{name}: {group}` is one group for {', '.join(apps)}"
                    yield component.problem(message, *place_of(component, name))


def meet(one: Document, other: Document) -> bool:
    """Return whether some app may load both."""
    scopes = {*map(str, one.items("scopes"))}, {*map(str, other.items("scopes"))}
    return not all(scopes) or bool(scopes[0] & scopes[1])


def _apps(part: Resources, component: Document) -> list[str]:
    scopes = [each for each in component.items("scopes") if isinstance(each, str)]
    return scopes or list(part.apps)


RULES = [
    Rule(
        component_without_scopes,
        Severity.INFO,
        "Name the apps that need it in `scopes`.",
    ),
    Rule(scope_unknown, Severity.WARNING, "Correct the id, or remove the scope."),
    Rule(
        consumer_group_shared,
        Severity.WARNING,
        "Leave it out, or write `{appID}`: each app is then its own group.",
    ),
]
