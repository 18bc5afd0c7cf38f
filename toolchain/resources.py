"""What is wrong with a system's YAML, each in one sentence: sidecars pass it over, or die of it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from toolchain import runfile
from toolchain.machine import terminal
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import System

TOO_LONG = 64 * 1024
"""The bytes of one document at which daprd, and the CLI, read without end and take all memory."""
KINDS = (
    "Component Configuration HTTPEndpoint MCPServer Resiliency Subscription "
    "WorkflowAccessPolicy SubscriptionTuning"
)
"""Dapr's own, and one of ours; daprd passes a file of another kind over without a word."""
EFFECT = "The sidecars read it already: they go on without it, or die of it until it is mended."
OPTIONAL = ("SMTP_FROM", "SMTP_USER", "SMTP_PASSWORD", "MAIL_API_AUTHORIZATION")
"""Variables that components/mail may do without."""


def check(system: System, environment: Mapping[str, str]) -> None:
    """Raise Failure with all that is wrong."""
    if wrong := list(findings(system, environment)):
        raise Failure(
            "The system is not started, as its YAML is wrong",
            "\n".join(wrong),
            "Correct that, then run it again.",
            EX_CONFIG,
        )


@dataclass
class Watch:
    """A look, again and again, at the YAML of a system that runs: what is saved there is loaded at once."""

    system: System
    environment: Mapping[str, str]
    seen: list[tuple[Path, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Print what has become wrong since the last look, and that all is right again."""
        seen = []
        for each in files(self.system):
            with suppress(OSError):  # it was removed meanwhile
                seen.append((each, each.lstat().st_mtime_ns))
        if seen == self.seen:
            return
        self.seen, before = seen, self.wrong
        self.wrong = list(findings(self.system, self.environment))
        for sentence in self.wrong:
            if sentence not in before:
                terminal.warning("YAML", f"{sentence}\n{EFFECT}")
        if before and not self.wrong:
            terminal.done("YAML", "all of it is right again")


def findings(system: System, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield all that is wrong: a sentence with file, field and remedy."""
    components: list[tuple[str, Any]] = []
    for file in files(system):
        name = str(file).removeprefix(f"{runfile.ROOT}/")
        try:
            found = [each for each in _documents(file) if _is_component(each)]
            components += [(name, each) for each in found]
        except ValueError as error:
            yield f"{name}: {error}"
    yield from _of_names(components)
    for name, component in components:
        for wrong in _of_references(component, components, environment):
            yield f"{name}: {wrong}"
    if tuning := system.document["common"].get("env", {}).get("SUBSCRIPTION_FILE"):
        yield from (f"{tuning}: {wrong}" for wrong in _of_tuning(runfile.ROOT / tuning))


def files(system: System) -> list[Path]:
    """Return the files that the sidecars read, and take for one: links and folders too."""
    common = system.document["common"]
    found = [runfile.ROOT / common["configFilePath"]]
    for folder in (runfile.ROOT / path for path in common["resourcesPaths"]):
        inside = [folder / "*.yaml"]
        with suppress(OSError):
            inside = sorted(folder.iterdir())
        found += [each for each in inside if each.suffix.lower() in (".yaml", ".yml")]
    return found


def _documents(file: Path) -> list[Any]:
    """Return what daprd reads of a file; raises ValueError with what is wrong, and the remedy."""
    try:
        content = file.read_bytes()
        if any(len(each) >= TOO_LONG for each in content.split(b"\n---")):
            raise ValueError(
                "64 KiB or more in one document takes all memory; split it"
            )
        # Every value stays the text that it is: nothing but the form is judged here.
        found = [*yaml.load_all(content.decode(), yaml.BaseLoader)]
    except OSError as error:
        lock = (
            "as editors lock a file; close it there"
            if file.is_symlink()
            else "correct that"
        )
        raise ValueError(
            f"cannot be read ({error.strerror}); {lock}, or remove it"
        ) from error
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = (
            f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else error
        )
        raise ValueError(f"no YAML ({where}); is it written to its end?") from error
    if not any(found):
        raise ValueError("is empty; write it, or remove it")
    return [each for each in found if each]


def _is_component(document: Any) -> bool:  # noqa: ANN401 - whatever a YAML may hold
    """Return whether a document is a component; raises ValueError where daprd would pass it over."""
    is_component = bool(_at(document, "kind") == "Component")
    for each in ("apiVersion", "kind", *["metadata.name", "spec.type"] * is_component):
        value = _at(document, each)
        if not (value and isinstance(value, str)):
            raise ValueError(
                f"has no `{each}`, and so is passed over; write it to its end, or remove it"
            )
    if document["kind"] not in KINDS.split():
        raise ValueError(
            f"has a `kind` that is none of {KINDS}; correct it, or remove the file"
        )
    items = _at(document, "spec.metadata") or []
    if is_component and not all(_at(each, "name") for each in items):
        raise ValueError(
            "has a `spec.metadata` that is no list of names with values; correct it"
        )
    return is_component


def _at(document: Any, path: str) -> Any:  # noqa: ANN401 - as above
    for each in path.split("."):
        document = document.get(each) if isinstance(document, dict) else None
    return document


def _of_names(components: Iterable[tuple[str, Any]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for file, component in components:
        name = component["metadata"]["name"]
        if name in first:
            yield f"{file}: `metadata.name: {name}` is in {first[name]} too, and daprd dies of it; rename one"
        first.setdefault(name, file)


def _of_references(
    component: Any,  # noqa: ANN401 - as above
    components: Iterable[tuple[str, Any]],
    environment: Mapping[str, str],
) -> Iterator[str]:
    named = _at(component, "auth.secretStore")
    stores = [each for _, each in components if each["metadata"]["name"] == named]
    for item in _at(component, "spec.metadata") or ():
        variable, secret = _at(item, "envRef"), _at(item, "secretKeyRef.name")
        if variable and variable not in (*OPTIONAL, *environment):
            yield f"`{item['name']}` refers to the variable {variable}; set it, to nothing if need be"
        if secret and not stores:
            yield f"`auth.secretStore: {named}` is no component here, and `{item['name']}` needs it; add it"
        elif secret and _lacks(stores[0], str(secret), environment):
            yield f"`{item['name']}` refers to the secret {secret}, which {named} has not; add it there"


def _lacks(store: Any, secret: str, environment: Mapping[str, str]) -> bool:  # noqa: ANN401 - as above
    """Return whether a store on this machine lacks a secret; of another nobody knows it here."""
    items = _at(store, "spec.metadata") or ()
    settings = {str(each["name"]): each.get("value") for each in items}
    if store["spec"]["type"] == "secretstores.local.env":
        return secret not in environment
    if store["spec"]["type"] != "secretstores.local.file":
        return False
    with suppress(OSError, ValueError):
        file = runfile.ROOT / str(settings.get("secretsFile"))
        return _at(json.loads(file.read_text()), secret.replace(":", ".")) is None
    return True


def _of_tuning(file: Path) -> Iterator[str]:
    content = None
    with suppress(ValueError):
        content = _documents(file)[0]
    if _at(content, "kind") != "SubscriptionTuning":
        yield "is no `kind: SubscriptionTuning`, and so no service can use it; components/redis has a pattern"
        return
    for each in ("bulkSubscribe.maxMessagesCount", "bulkSubscribe.maxAwaitDurationMs"):
        if not str(_at(content, each)).isdecimal():
            yield f"has no whole number in `{each}`; write one"
    if not isinstance(_at(content, "metadata") or {}, dict):
        yield "has a `metadata` that is no mapping; write `name: value` in it, or {}"
