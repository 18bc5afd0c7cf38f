"""Rules on what runs: each sidecar's own report (`/v1.0/metadata`) beside the files that it was started with."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolchain import runfile
from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.project import Project, Resources, Sidecar, entries
from toolchain.machine import ports

PORTS = (
    "appPort",
    "daprHTTPPort",
    "daprGRPCPort",
    "daprInternalGRPCPort",
    "metricsPort",
)
HERE = re.compile(r"(?:^|[@/,\s])(?:localhost|127\.0\.0\.1):(\d{2,5})(?![\d.])")
"""An address on this machine, in whatever a component is given."""
DATABASE = re.compile(
    r"(postgres|mysql|mariadb|mongodb|redis|amqp|mssql|sqlserver)[\w+]*://"
)


def port_taken(project: Project) -> Iterator[Problem]:
    """A port of the run file that another program has.

    What starts there ends, as the address is in use. What the project itself runs there is not reported.
    """
    for sidecar in project.sidecars:
        if sidecar.metadata is not None or sidecar.status:
            continue
        for name in PORTS:
            port = sidecar.app.number(name)
            if (
                port
                and not runfile.is_free(port)
                and not ports.is_held_from(port, project.root)
            ):
                message = f"`{name}: {port}` of `{sidecar.app.id}` is taken by {ports.holder(port)}"
                yield sidecar.document.problem(message, *sidecar.app.place, name)


def sidecar_of_another(project: Project) -> Iterator[Problem]:
    """Another app's sidecar at the port of one of these.

    A second system runs on the same ports: commands meant for this one reach the other.
    """
    for sidecar in project.sidecars:
        found = (sidecar.metadata or {}).get("id")
        if found and found != sidecar.app.id:
            message = (
                f"the sidecar of `{found}` answers where `{sidecar.app.id}` should"
            )
            yield sidecar.document.problem(message, *sidecar.app.place, "daprHTTPPort")


def sidecar_refuses(project: Project) -> Iterator[Problem]:
    """A sidecar that wants a token.

    It was started with `DAPR_API_TOKEN`, and this shell has none, or another: what is started from here is
    refused as well.
    """
    for sidecar in project.sidecars:
        if sidecar.status in (401, 403):
            message = f"the sidecar of `{sidecar.app.id}` answers {sidecar.status}: it wants a DAPR_API_TOKEN"
            yield sidecar.document.problem(message, *sidecar.app.place, "daprHTTPPort")


def sidecar_lacks_component(project: Project) -> Iterator[Problem]:
    """A component that a running sidecar does not have.

    Its file is there and its scopes fit, but the sidecar did not load it: it could not reach what the component
    connects to, the file was wrong when the sidecar read it, or it has not read it yet.
    """
    for sidecar, part in _running(project):
        loaded = {
            each.get("name")
            for each in (sidecar.metadata or {}).get("components") or ()
        }
        for component in part.of_kind("Component"):
            scopes = component.items("scopes")
            if component.name not in loaded and (
                not scopes or sidecar.app.id in scopes
            ):
                message = f"the sidecar of `{sidecar.app.id}` has no `{component.name}`; its log says why"
                yield component.problem(message, "metadata", "name")


def sidecar_lacks_subscription(project: Project) -> Iterator[Problem]:
    """A subscription that a running sidecar does not have.

    It is declared and its scopes fit, but nothing is delivered by it.
    """
    for sidecar, part in _running(project):
        told = (sidecar.metadata or {}).get("subscriptions") or ()
        alive = {(each.get("pubsubname"), each.get("topic")) for each in told}
        for each in part.of_kind("Subscription"):
            topic = each.text("spec", "pubsubname"), each.text("spec", "topic")
            scopes = each.items("scopes")
            if topic not in alive and (not scopes or sidecar.app.id in scopes):
                message = f"the sidecar of `{sidecar.app.id}` has no subscription to `{topic[1]}`"
                yield each.problem(message, "spec", "topic")


def server_silent(project: Project) -> Iterator[Problem]:
    """A server on this machine that a component needs, and that does not answer.

    A broker, a database or a mail server: while the sidecars run, nothing goes through this component. Only
    servers on this machine are asked, and only while a sidecar runs.
    """
    for sidecar, part in _running(project):
        for component in part.of_kind("Component"):
            for number, item in entries(component):
                for port in _ports(project, item):
                    message = f"nothing listens at port {port}, where `{component.name}` connects to"
                    yield component.problem(message, "spec", "metadata", number, "name")
        yield from _databases_silent(sidecar)


def _databases_silent(sidecar: Sidecar) -> Iterator[Problem]:
    for name, value in sidecar.app.settings["env"].items():
        for port in HERE.findall(str(value)) if DATABASE.match(str(value)) else ():
            if runfile.is_free(int(port)):
                message = f"nothing listens at port {port}, where `{sidecar.app.id}` connects to by {name}"
                yield sidecar.document.problem(message, *sidecar.app.place, "env", name)


def _ports(project: Project, item: Mapping[str, Any]) -> list[int]:
    reference = item.get("secretKeyRef") or {}
    variable = item.get("envRef") or reference.get("name")
    from_environment = (project.environment or {}).get(str(variable))
    value = item.get("value") or from_environment
    found = (
        [int(port) for port in HERE.findall(value)] if isinstance(value, str) else []
    )
    return [port for port in found if runfile.is_free(port)]


def sidecars_of_several_versions(project: Project) -> Iterator[Problem]:
    """Sidecars of different versions.

    As in the middle of an update. Their components may read other settings, and their flaws differ.
    """
    versions: dict[str, list[str]] = {}
    for sidecar in project.sidecars:
        if version := (sidecar.metadata or {}).get("runtimeVersion"):
            versions.setdefault(str(version), []).append(sidecar.app.id)
    if len(versions) > 1:
        told = ", ".join(
            f"{version} ({', '.join(ids)})" for version, ids in sorted(versions.items())
        )
        document = project.sidecars[0].document
        yield document.problem(f"the sidecars run {told}", "apps")


def _running(project: Project) -> Iterator[tuple[Sidecar, Resources]]:
    for sidecar in project.sidecars:
        for part in project.resources:
            if sidecar.metadata is not None and sidecar.app.id in part.apps:
                yield sidecar, part


RULES = [
    Rule(port_taken, Severity.ERROR, "End that program, or choose another port."),
    Rule(
        sidecar_of_another,
        Severity.ERROR,
        "End one of the two, or move it to other ports.",
    ),
    Rule(
        sidecar_refuses,
        Severity.WARNING,
        "Export the token that the sidecar was started with.",
    ),
    Rule(
        sidecar_lacks_component,
        Severity.ERROR,
        "Read the sidecar's log, correct the cause, then restart the sidecar.",
    ),
    Rule(
        sidecar_lacks_subscription,
        Severity.ERROR,
        "Read the sidecar's log for the topic's name.",
    ),
    Rule(server_silent, Severity.ERROR, "Start it, or correct the address."),
    Rule(
        sidecars_of_several_versions,
        Severity.WARNING,
        "Restart the older ones once the update is through.",
    ),
]
