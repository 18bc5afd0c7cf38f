"""Rules on files: what a sidecar, or the Dapr CLI, cannot read as a resource."""

from collections.abc import Iterator

from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.project import Project, is_dapr
from toolchain.doctor.rules import configuration
from toolchain.doctor.yaml_files import Document

VERSIONS = {
    "Component": ("v1alpha1",),
    "Configuration": ("v1alpha1",),
    "HTTPEndpoint": ("v1alpha1",),
    "MCPServer": ("v1alpha1",),
    "Resiliency": ("v1alpha1",),
    "Subscription": ("v1alpha1", "v2alpha1"),
    "WorkflowAccessPolicy": ("v1alpha1",),
}
"""Dapr's kinds of resource, and the versions of each."""


REPLACED = ("Configuration", "Subscription")


def _faults(project: Project, rule: str) -> Iterator[Problem]:
    for part in project.resources:
        for file in part.files:
            if file.fault and file.fault[0] == rule:
                _, line, message = file.fault
                yield Problem(file.path, line, "", message)


def yaml_unreadable(project: Project) -> Iterator[Problem]:
    """A file that cannot be read.

    An editor's lock (`.#pubsub.yaml`), a broken link, a folder, or a file of another user. A sidecar that starts
    warns and goes on without it; one that runs ends with an error as soon as it reloads the folder.
    """
    yield from _faults(project, "yaml_unreadable")


def yaml_malformed(project: Project) -> Iterator[Problem]:
    """A file that is no YAML.

    Mostly half written, or with a tab or a missing quotation mark. The sidecar writes one warning, and goes on
    without everything in the file: the component that it describes does not exist.
    """
    yield from _faults(project, "yaml_malformed")


def yaml_empty(project: Project) -> Iterator[Problem]:
    """A file with nothing in it.

    It is passed over without a word, so whatever it should describe does not exist. Editors and deployments
    that write a file in place leave it like this for a moment, or for good when they are interrupted.
    """
    yield from _faults(project, "yaml_empty")


def yaml_too_large(project: Project) -> Iterator[Problem]:
    """A document of 64 KiB or more.

    The loader of the sidecar and of the CLI reads a document into a buffer of 64 KiB and, where it does not fit,
    collects the same error again and again: it takes a gigabyte of memory in seconds until the system kills it.
    """
    yield from _faults(project, "yaml_too_large")


def resource_without_kind(project: Project) -> Iterator[Problem]:
    """A document that names no `apiVersion` or `kind`.

    A sidecar loads what has both, and passes everything else over without a word: a file of another program
    among the resources, a list, or a resource whose first lines are missing.
    """
    for document in _all(project):
        for each in ("apiVersion", "kind"):
            if not document.text(each):
                yield document.problem(
                    f"has no `{each}`, so sidecars pass it over", each
                )
                break


def resource_kind_unknown(project: Project) -> Iterator[Problem]:
    """A `kind` or `apiVersion` that Dapr does not have.

    The names are compared letter by letter. `component`, or `dapr.io/v1` for `dapr.io/v1alpha1`, is no error
    for a sidecar: it passes the document over.
    """
    for document in _all(project):
        if not is_dapr(document) or not document.kind:
            continue
        versions = VERSIONS.get(document.kind)
        version = document.text("apiVersion").removeprefix("dapr.io/")
        if versions is None:
            yield document.problem(
                f"`kind: {document.kind}` is none of {', '.join(VERSIONS)}", "kind"
            )
        elif version not in versions:
            wanted = " or ".join(f"dapr.io/{each}" for each in versions)
            yield document.problem(
                f"`apiVersion` of a {document.kind} is {wanted}", "apiVersion"
            )


def resource_without_name(project: Project) -> Iterator[Problem]:
    """A resource without a name.

    Without `metadata.name` nothing can refer to it, and the sidecar does not load it.
    """
    for document in _all(project):
        if is_dapr(document) and document.kind in VERSIONS and not document.name:
            yield document.problem(
                "has no `metadata.name`, so sidecars pass it over", "metadata", "name"
            )


def resource_name_twice(project: Project) -> Iterator[Problem]:
    """Two resources of one kind with one name.

    A sidecar that loads both ends with "duplicate definition", whatever their scopes are; a running one ends as
    soon as the second file is saved. A copy that somebody made beside the original is enough.
    """
    for part in project.resources:
        first: dict[tuple[str, ...], Document] = {}
        for document in part.documents if part.is_judged else ():
            # A Configuration is loaded by its file's name; of subscriptions the last one counts.
            if not is_dapr(document) or not document.name or document.kind in REPLACED:
                continue
            space = "" if part.is_declared else document.text("metadata", "namespace")
            before = first.setdefault((document.kind, document.name, space), document)
            if before is not document:
                where = f"{before.file.parent.name}/{before.file.name}:{before.line('metadata', 'name')}"
                message = f"`metadata.name: {document.name}` is in {where} too, and daprd dies of it"
                yield document.problem(message, "metadata", "name")


def resource_key_unknown(project: Project) -> Iterator[Problem]:
    """A key of a resource that Dapr does not read.

    `scope` for `scopes`, `auth` inside `spec`, `ignoreError` for `ignoreErrors`: a sidecar ignores a key that it
    does not know, so the resource is loaded by every app, without its secrets, or may end the sidecar.
    """
    for document in _all(project):
        if is_dapr(document) and document.kind in KEYS:
            yield from _unknown(document, (), KEYS[document.kind][0])
            yield from _unknown(document, ("spec",), KEYS[document.kind][1])


TOP = {"apiVersion", "kind", "metadata", "spec", "scopes"}
KEYS: dict[str, tuple[set[str], set[str]]] = {
    "Component": (
        {*TOP, "auth"},
        {"type", "version", "ignoreErrors", "metadata", "initTimeout"},
    ),
    "Subscription": (
        TOP,
        {
            "topic",
            "pubsubname",
            "metadata",
            "route",
            "routes",
            "bulkSubscribe",
            "deadLetterTopic",
        },
    ),
    "Resiliency": (TOP, {"policies", "targets"}),
    "Configuration": (TOP, configuration.KEYS[()]),
}
"""What Dapr reads at the top of each kind, and in its `spec`."""


def _unknown(
    document: Document, path: tuple[str, ...], known: set[str]
) -> Iterator[Problem]:
    for key in document.mapping(*path):
        if key not in known and key not in ("status", "<<"):
            where = f"{path[0]}.{key}" if path else key
            yield document.problem(
                f"`{where}` is nothing that Dapr reads in a {document.kind}", *path, key
            )


def _all(project: Project) -> list[Document]:
    found = {id(each): each for part in project.resources for each in part.documents}
    return [*found.values()]


RULES = [
    Rule(
        yaml_unreadable,
        Severity.FATAL,
        "Close it in the editor that locks it, correct its rights, or remove it.",
    ),
    Rule(yaml_malformed, Severity.FATAL, "Write it to its end, or remove it."),
    Rule(yaml_empty, Severity.FATAL, "Write it, or remove it."),
    Rule(yaml_too_large, Severity.FATAL, "Split it, or remove it from the folder."),
    Rule(
        resource_without_kind,
        Severity.FATAL,
        "Complete it, or move it out of the resources folder.",
    ),
    Rule(resource_kind_unknown, Severity.FATAL, "Correct the word."),
    Rule(resource_without_name, Severity.FATAL, "Add a name."),
    Rule(resource_name_twice, Severity.FATAL, "Rename one, or remove it."),
    Rule(
        resource_key_unknown,
        Severity.WARNING,
        "Correct the key, or move it to where it belongs.",
    ),
]
