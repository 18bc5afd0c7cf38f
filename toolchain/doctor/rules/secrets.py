"""Rules on secrets, variables and tokens: what a component or an app is given, and from where."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.metadata import table
from toolchain.doctor.project import Project, Resources, RunFile, entries, settings
from toolchain.doctor.yaml_files import Document

NAMES = re.compile(
    r"(?i)(password|passwd|secret|token|apikey|api_key|accesskey|accountkey|privatekey)$"
)
"""How settings end that hold a secret, where the component's metadata does not say so."""
PLACEHOLDER = re.compile(
    r"[<{$%*]|\.\.\.|^\s*$|(?i:replace|change.?me|your|example|secretkeyref|xxx)"
)
NO_SECRET = re.compile(
    r"(?i)true|false|\d+|https?://\S+|.*(url|header|name|file|path|endpoint)"
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TOKENS = ("APP_API_TOKEN", "DAPR_API_TOKEN")


def secret_store_missing(project: Project) -> Iterator[Problem]:
    """A secret from a store that is not there.

    The sidecar warns once and goes on with an empty value: the component then fails to log in, or logs in with
    its default.
    """
    for part in project.resources:
        names = project.names_beside(part)
        for component in part.of_kind("Component"):
            store = component.text("auth", "secretStore")
            if (
                store in names
                or store == "kubernetes"
                or (not store and not part.is_declared)
            ):
                continue
            for number, item in entries(component):
                if _secret(item):
                    told = (
                        f"`auth.secretStore: {store}` is no component here"
                        if store
                        else "has no `auth.secretStore`"
                    )
                    message = f"{told}, and `{item.get('name')}` needs it"
                    yield component.problem(
                        message, "spec", "metadata", number, "secretKeyRef"
                    )


def _secret(item: dict[str, Any]) -> str:
    """Return the name of the secret that a setting refers to; nothing where it refers to none."""
    reference = item.get("secretKeyRef")
    name = reference.get("name") if isinstance(reference, dict) else None
    return name if isinstance(name, str) else ""


def secret_missing(project: Project) -> Iterator[Problem]:
    """A secret that its store does not have.

    Looked up where it can be known here: in the file of `secretstores.local.file`, and for
    `secretstores.local.env` in the environment. The sidecar goes on with an empty value.
    """
    for part in project.resources:
        beside = project.typed(part)
        for component in part.of_kind("Component"):
            store = beside.get(component.text("auth", "secretStore"))
            for number, item in entries(component):
                name = _secret(item)
                if store and name and _lacks(project, part, store, name):
                    message = f"`{item.get('name')}` refers to the secret {name}, which {store.name} has not"
                    yield component.problem(
                        message, "spec", "metadata", number, "secretKeyRef"
                    )


def _lacks(project: Project, part: Resources, store: Document, secret: str) -> bool:
    kind, told = store.text("spec", "type"), settings(store)
    if kind == "secretstores.local.env":
        prefix = str(told.get("prefix") or "")
        return (
            project.environment is not None
            and f"{prefix}{secret}" not in project.environment
        )
    if kind != "secretstores.local.file" or not isinstance(
        told.get("secretsFile"), str
    ):
        return False
    files = [
        folder / str(told["secretsFile"]) for folder in _starts(project, part, store)
    ]
    found = [each for each in files if each.is_file()]
    separator = str(told.get("nestedSeparator") or ":")
    # Where nobody finds the file from here, it may be made only where the sidecar runs.
    return bool(found or part.is_declared) and not any(
        _has(file, secret, separator) for file in found
    )


def _starts(project: Project, part: Resources, store: Document) -> list[Path]:
    """Return the folders that a sidecar may have been started in."""
    apps = [
        app.folder
        for each in project.run_files
        for app in each.apps
        if app.id in part.apps
    ]
    return [*apps, project.root, *list(store.file.parents)[:4]]


def _has(file: Path, secret: str, separator: str) -> bool:
    with suppress(OSError, ValueError):
        value = json.loads(file.read_text())
        for key in [secret] if secret in value else secret.split(separator):
            value = value[key] if isinstance(value, dict) and key in value else None
        return value is not None
    return False


def variable_missing(project: Project) -> Iterator[Problem]:
    """A variable of the environment that is not set.

    `envRef` names a variable of the sidecar's environment. Where it is not set the sidecar goes on with an empty
    value. Reported where the environment is known: of the system that `make run` starts.
    """
    for component in project.components if project.environment is not None else ():
        for number, item in entries(component):
            variable = item.get("envRef")
            if (
                isinstance(variable, str)
                and variable
                and variable not in (project.environment or ())
            ):
                message = f"`{item.get('name')}` refers to the variable {variable}, which is not set"
                yield component.problem(message, "spec", "metadata", number, "envRef")


def variable_refused(project: Project) -> Iterator[Problem]:
    """A variable that daprd does not hand on.

    `APP_API_TOKEN`, names that begin with `DAPR_`, and names with a space are refused for `envRef`: the sidecar
    warns once and goes on with an empty value.
    """
    for component in project.components:
        for number, item in entries(component):
            variable = str(item.get("envRef") or "")
            if (
                variable.upper() == TOKENS[0]
                or variable.upper().startswith("DAPR_")
                or " " in variable
            ):
                message = f"`envRef: {variable}` is refused by daprd"
                yield component.problem(message, "spec", "metadata", number, "envRef")


def variable_of_the_app_alone(project: Project) -> Iterator[Problem]:
    """A variable that only the app gets.

    `env` in a run file is handed to the app, not to its sidecar: a component that refers to such a variable finds
    it empty, unless the shell that starts `dapr run` has it too.
    """
    for run_file in project.run_files:
        given = {name for app in run_file.apps for name in app.settings["env"]} - {
            *(project.environment or ())
        }
        for component in _loaded_by(project, run_file):
            for number, item in entries(component):
                if (variable := str(item.get("envRef"))) in given:
                    message = f"`envRef: {variable}` is set for the apps alone, in {run_file.document.file.name}"
                    yield component.problem(
                        message, "spec", "metadata", number, "envRef"
                    )


def _loaded_by(project: Project, run_file: RunFile) -> list[Document]:
    ids = {app.id for app in run_file.apps}
    parts = [
        part for part in project.resources if part.is_declared and ids & {*part.apps}
    ]
    return [component for part in parts for component in part.of_kind("Component")]


def secret_in_plain_text(project: Project) -> Iterator[Problem]:
    """A secret in plain text.

    Whoever reads the file, its history or a backup has it. Empty values, placeholders, and the standard passwords
    of a server on this machine (`guest:guest@localhost`) are not reported.
    """
    for component in project.components:
        told = table.component(component.text("spec", "type"))
        secret = {
            name.lower()
            for name, each in (told.known() if told else {}).items()
            if each.is_sensitive
        }
        for number, item in entries(component):
            name, value = str(item.get("name")), item.get("value")
            if isinstance(value, str) and _is_secret(
                name, value, is_known=name.lower() in secret
            ):
                message = f"`{name}` holds a secret in plain text"
                yield component.problem(message, "spec", "metadata", number, "value")


def _is_secret(name: str, value: str, *, is_known: bool = False) -> bool:
    if PLACEHOLDER.search(value):
        return False
    is_named = is_known or bool(NAMES.search(name))
    return _has_password(value) or (is_named and not NO_SECRET.fullmatch(value))


def _has_password(value: str) -> bool:
    with suppress(ValueError):
        url = urlsplit(value)
        return bool(url.scheme and url.password and url.hostname not in LOOPBACK)
    return False


def secret_in_run_file(project: Project) -> Iterator[Problem]:
    """A secret among the variables of a run file.

    A run file is checked in, and its variables are shown by every process list and crash report.
    """
    for run_file in project.run_files:
        for place in (("common",), *(app.place for app in run_file.apps)):
            for name, value in run_file.document.mapping(*place, "env").items():
                if (
                    name in TOKENS
                    or not isinstance(value, str)
                    or PLACEHOLDER.search(value)
                ):
                    continue
                if (
                    NAMES.search(name) and not NO_SECRET.fullmatch(value)
                ) or _has_password(value):
                    message = f"`{name}` holds a secret in plain text"
                    yield run_file.document.problem(message, *place, "env", name)


def token_one_sided(project: Project) -> Iterator[Problem]:
    """An API token that one side alone knows.

    In a run file, `env` reaches the app and not its sidecar. An `APP_API_TOKEN` there makes the app expect a token
    that the sidecar never sends, so every delivery is refused; a `DAPR_API_TOKEN` there is sent to a sidecar that
    asks for none, and protects nothing.
    """
    shell = project.environment or {}
    effect = {
        TOKENS[0]: "the sidecar sends none, and the app refuses every delivery",
        TOKENS[1]: "the sidecar asks for none, so it protects nothing",
    }
    for run_file in project.run_files:
        for place in (("common",), *(app.place for app in run_file.apps)):
            for token in TOKENS:
                value = run_file.document.text(*place, "env", token)
                if value and shell.get(token) != value:
                    message = f"`{token}` is given to the app alone: {effect[token]}"
                    yield run_file.document.problem(message, *place, "env", token)


RULES = [
    Rule(
        secret_store_missing,
        Severity.FATAL,
        "Add the store beside it, and name it in `auth.secretStore`.",
    ),
    Rule(secret_missing, Severity.FATAL, "Add it there."),
    Rule(variable_missing, Severity.FATAL, "Set it, to nothing if need be."),
    Rule(variable_refused, Severity.ERROR, "Use a variable of another name."),
    Rule(
        variable_of_the_app_alone,
        Severity.ERROR,
        "Export it in the shell that starts `dapr run`.",
    ),
    Rule(
        secret_in_plain_text,
        Severity.WARNING,
        "Put it in a secret store, and refer to it by `secretKeyRef`.",
    ),
    Rule(
        secret_in_run_file,
        Severity.WARNING,
        "Export it in the shell, or read it from a secret store.",
    ),
    Rule(
        token_one_sided,
        Severity.ERROR,
        "Export it in the shell that starts `dapr run`: both sides then have it.",
    ),
]
