"""Rules on a Configuration, and on the version of daprd that reads it."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from chassis.flaws import known_flaws, numbers
from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.metadata import table
from toolchain.doctor.project import Project
from toolchain.doctor.yaml_files import Document

KEYS: dict[tuple[str, ...], set[str]] = {
    (): {
        *(
            "appHttpPipeline",
            "httpPipeline",
            "tracing",
            "metric",
            "metrics",
            "mtls",
            "secrets",
            "accessControl",
        ),
        *(
            "nameResolution",
            "features",
            "api",
            "components",
            "logging",
            "wasm",
            "workflow",
        ),
    },
    ("tracing",): {"samplingRate", "stdout", "zipkin", "otel"},
    ("tracing", "zipkin"): {"endpointAddress"},
    ("tracing", "otel"): {
        "protocol",
        "endpointAddress",
        "isSecure",
        "headers",
        "timeout",
    },
    ("metric",): {
        "enabled",
        "recordErrorCodes",
        "http",
        "rules",
        "latencyDistributionBuckets",
    },
    ("metrics",): {
        "enabled",
        "recordErrorCodes",
        "http",
        "rules",
        "latencyDistributionBuckets",
    },
    ("nameResolution",): {"component", "version", "configuration"},
    ("accessControl",): {"defaultAction", "trustDomain", "policies"},
    ("secrets",): {"scopes"},
    ("api",): {"allowed", "denied"},
    ("logging",): {"apiLogging"},
}
"""What daprd 1.18 reads of a Configuration's `spec`."""


def configuration_key_unknown(project: Project) -> Iterator[Problem]:
    """A key of a Configuration that daprd does not read.

    It is ignored without a word; on Kubernetes the document is refused.
    """
    for document in _configurations(project):
        for path, known in KEYS.items():
            for key in document.mapping("spec", *path):
                if key not in known:
                    near = get_close_matches(key, known, n=1, cutoff=0.7)
                    meant = f": {near[0]} is meant?" if near else ""
                    where = ".".join(("spec", *path, key))
                    yield document.problem(
                        f"daprd reads no `{where}`{meant}", "spec", *path, key
                    )


def tracing_rate(project: Project) -> Iterator[Problem]:
    """A sampling rate that is no share.

    `samplingRate` is a number from 0 to 1. Above 1 every call is traced; with a text that is no number daprd takes
    its default, one in 10,000.
    """
    for document in _configurations(project):
        rate = document.text("spec", "tracing", "samplingRate")
        if rate and not _is_share(rate):
            message = f"`samplingRate: {rate}` is no number from 0 to 1"
            yield document.problem(message, "spec", "tracing", "samplingRate")


def _is_share(text: str) -> bool:
    try:
        # Whoever deploys it may fill in a variable.
        return "$" in text or 0 <= float(text) <= 1
    except ValueError:
        return False


def tracing_leads_nowhere(project: Project) -> Iterator[Problem]:
    """Traces that are sent nowhere.

    Traces are sampled, and neither `zipkin`, `otel` nor `stdout` says where they go.
    """
    for document in _configurations(project):
        told = document.mapping("spec", "tracing")
        rate = str(told.get("samplingRate", ""))
        if (
            told
            and rate not in ("", "0", "0.0")
            and not any(told.get(each) for each in ("zipkin", "otel", "stdout"))
        ):
            yield document.problem(
                "`tracing` names nowhere to send the traces to", "spec", "tracing"
            )


def name_resolution_unknown(project: Project) -> Iterator[Problem]:
    """A name resolution that daprd does not have.

    The sidecar ends at its start.
    """
    for document in _configurations(project):
        name = document.text("spec", "nameResolution", "component")
        if name and f"nameresolution.{name}" not in table.versions():
            known = ", ".join(_resolutions())
            message = f"`component: {name}` is none of {known}"
            yield document.problem(message, "spec", "nameResolution", "component")


def _resolutions() -> list[str]:
    prefix = "nameresolution."
    return [
        each.removeprefix(prefix)
        for each in table.versions()
        if each.startswith(prefix)
    ]


def access_control_bypassed(project: Project) -> Iterator[Problem]:
    """An access control that daprd 1.18 lets through.

    Up to 1.18 a `%2F` in the path of a call passes a policy that names paths, and a caller's own
    `dapr-caller-app-id` stands beside the sidecar's. Both are fixed in 1.19.
    """
    if project.daprd and numbers(project.daprd) >= (1, 19, 0):
        return
    for document in _configurations(project):
        if document.mapping("spec", "accessControl"):
            version = f"daprd {project.daprd}" if project.daprd else "daprd before 1.19"
            yield document.problem(
                f"{version} lets `%2F` pass this policy", "spec", "accessControl"
            )


def daprd_flaw_known(project: Project) -> Iterator[Problem]:
    """A known flaw of this daprd.

    From Dapr's release notes, and from tests on the real thing.
    """
    for flaw in known_flaws(project.daprd) if project.daprd else ():
        # What follows the first sentence is about this project's own services.
        effect = re.split(r"\.\s+(?=[A-Z])", " ".join(flaw.split()))[0].rstrip(".")
        yield Problem(project.root, 0, "", f"daprd {project.daprd} {effect}")


def _configurations(project: Project) -> Iterator[Document]:
    for document in project.configurations:
        if document.kind == "Configuration":
            yield document


RULES = [
    Rule(configuration_key_unknown, Severity.WARNING, "Correct the key, or remove it."),
    Rule(
        tracing_rate,
        Severity.ERROR,
        'Write a number from 0 to 1, in quotation marks: "0.1".',
    ),
    Rule(
        tracing_leads_nowhere,
        Severity.WARNING,
        "Add `otel` with an endpoint, or set the rate to 0.",
    ),
    Rule(name_resolution_unknown, Severity.FATAL, "Correct the name."),
    Rule(
        access_control_bypassed,
        Severity.WARNING,
        "Update daprd to 1.19, and let the app itself refuse what must not be.",
    ),
    Rule(
        daprd_flaw_known,
        Severity.INFO,
        "Read Dapr's release notes, and update where it is fixed.",
    ),
]
