"""Rules on components: their types, and their settings against the component's own metadata."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.metadata import table
from toolchain.doctor.metadata.table import Component, Field
from toolchain.doctor.project import Project, entries, place_of, settings
from toolchain.doctor.rules.scopes import meet
from toolchain.doctor.yaml_files import Document

FIRST = {"", "v0", "v1"}
"""The versions that daprd takes for one another."""


def component_without_type(project: Project) -> Iterator[Problem]:
    """A component without a type.

    Without `spec.type` a sidecar does not know what to make of it.
    """
    for component in project.components:
        if not component.text("spec", "type"):
            yield component.problem(
                "has no `spec.type`, so no sidecar can use it", "spec", "type"
            )


def component_settings_no_list(project: Project) -> Iterator[Problem]:
    """Settings that are no list of names with values.

    `spec.metadata` is a list of `name` and `value`. In any other shape the whole document cannot be decoded, and
    the sidecar goes on without the component.
    """
    for component in project.components:
        told = component.at("spec", "metadata")
        if told and not (
            isinstance(told, list) and all(_is_setting(each) for each in told)
        ):
            message = "has a `spec.metadata` that is no list of names with values"
            yield component.problem(message, "spec", "metadata")


def _is_setting(item: Any) -> bool:  # noqa: ANN401 - whatever a YAML may hold
    return (
        isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and bool(item["name"])
    )


def component_type_misspelt(project: Project) -> Iterator[Problem]:
    """A component type that daprd does not have, and that looks like one that it has.

    The sidecar ends with "couldn't find … component", unless `ignoreErrors` is set. Only near misses are
    reported: any other type may be a pluggable component.
    """
    for component in project.components:
        kind = component.text("spec", "type")
        if kind and kind not in table.versions():
            for near in get_close_matches(
                kind.lower(), table.versions(), n=1, cutoff=0.85
            ):
                yield component.problem(
                    f"daprd has no `{kind}`: {near} is meant?", "spec", "type"
                )


def component_version_unknown(project: Project) -> Iterator[Problem]:
    """A version that the component does not have.

    The sidecar ends with "couldn't find … component", unless `ignoreErrors` is set.
    """
    for component in project.components:
        kind, version = (
            component.text("spec", "type"),
            component.text("spec", "version"),
        )
        known = table.versions().get(kind)
        if (
            known
            and version not in known
            and not (version in FIRST and FIRST & {*known})
        ):
            message = (
                f"{kind} has version {' and '.join(known)}, not {version or 'none'}"
            )
            yield component.problem(message, "spec", "version")


def component_setting_unknown(project: Project) -> Iterator[Problem]:
    """A setting that the component does not read.

    It is ignored without a word, and the default counts. For components whose source was compared with their
    metadata every unknown name is reported, for others only what looks like a known one.
    """
    for component, told in _known(project):
        for name in settings(component):
            if (message := _stranger(component, told, name)) is not None:
                yield component.problem(message, *_key_of(component, name))


def _stranger(component: Document, told: Component, name: str) -> str | None:
    kind = component.text("spec", "type")
    names = [*told.known(), *told.subscription, *table.common(kind)]
    if name in told.ignored or name.lower() in (each.lower() for each in names):
        return None
    near = get_close_matches(name, names, n=1, cutoff=0.88)
    if not near and not told.is_reviewed:
        return None
    return f"{kind} reads no `{name}`" + (f": {near[0]} is meant?" if near else "")


def component_setting_case(project: Project) -> Iterator[Problem]:
    """A setting whose name differs from the component's in upper and lower case.

    Most components compare names without regard to case, but what they read by hand they compare letter by letter:
    the setting may count or not, depending on the field and the version.
    """
    for component, told in _known(project):
        names = {
            each.lower(): each
            for each in (*told.known(), *table.common(component.text("spec", "type")))
        }
        for name in settings(component):
            right = names.get(name.lower(), name)
            if right != name and name not in told.known():
                yield component.problem(
                    f"`{name}` is written {right}", *_key_of(component, name)
                )


def component_setting_missing(project: Project) -> Iterator[Problem]:
    """A setting that the component needs is missing.

    The component cannot be made: the sidecar ends, or with `ignoreErrors` goes on without it.
    """
    for component, told in _known(project):
        present = {name.lower() for name in settings(component)}
        for name, each in told.fields.items():
            if each.is_required and name.lower() not in present and told.is_reviewed:
                kind = component.text("spec", "type")
                yield component.problem(
                    f"`{name}` is missing, and {kind} needs it", "spec", "metadata"
                )


def component_login_incomplete(project: Project) -> Iterator[Problem]:
    """No way to log in is complete.

    A component has several sets of settings with which it logs in, and needs all of one of them.
    """
    for component, told in _known(project):
        values = {name.lower(): value for name, value in settings(component).items()}
        if told.is_reviewed and told.profiles and not _can_log_in(told, values):
            ways = "; ".join(_way(title, each) for title, each in told.profiles.items())
            yield component.problem(
                f"no way to log in is complete ({ways})", "spec", "metadata"
            )


def _can_log_in(told: Component, values: dict[str, Any]) -> bool:
    return "authrequired" in values or any(
        _fits(each, values) for each in told.profiles.values()
    )


def _fits(profile: dict[str, Field], values: dict[str, Any]) -> bool:
    for name, each in profile.items():
        value = values.get(name.lower())
        if name.lower() not in values:
            if each.is_required:
                return False
        elif value is not None and not each.allows(value):
            return False
    return True


def _way(title: str, profile: dict[str, Field]) -> str:
    needed = ", ".join(name for name, each in profile.items() if each.is_required)
    return f"{title}: {needed}" if needed else title


def component_setting_value(project: Project) -> Iterator[Problem]:
    """A value that the setting cannot have.

    Not one of the allowed words, or no number, duration or truth value where one is read. The component
    refuses it, and the sidecar ends; or it is ignored, and the default counts.
    """
    for component, told in _known(project):
        known = {name.lower(): each for name, each in told.known().items()}
        for name, value in settings(component).items():
            each = known.get(name.lower())
            # A value in braces is filled in by the sidecar, or by whoever deploys it.
            if (
                each is None
                or not isinstance(value, str)
                or not value
                or "{" in value
                or "$" in value
            ):
                continue
            if told.is_reviewed and not each.allows(value):
                message = f"`{name}` is {value!r}, and may be {', '.join(each.allowed)}"
                yield component.problem(message, *place_of(component, name))
            elif not each.fits(value):
                message = f"`{name}` is {value!r}, and should be a {each.type}"
                yield component.problem(message, *place_of(component, name))


def component_setting_deprecated(project: Project) -> Iterator[Problem]:
    """A setting that the component will lose.

    Its own metadata marks it as deprecated: a later version of Dapr ignores it.
    """
    for component, told in _known(project):
        known = told.known()
        for name in settings(component):
            if name in known and known[name].is_deprecated:
                yield component.problem(
                    f"`{name}` is deprecated", *_key_of(component, name)
                )


def component_setting_twice(project: Project) -> Iterator[Problem]:
    """A setting that is listed twice.

    One of the two counts, which one no document says.
    """
    for component in project.components:
        seen: dict[str, int] = {}
        for number, item in entries(component):
            name = str(item.get("name") or "")
            if name and seen.setdefault(name.lower(), number) != number:
                line = component.line("spec", "metadata", seen[name.lower()])
                yield component.problem(
                    f"`{name}` is in line {line} too",
                    "spec",
                    "metadata",
                    number,
                    "name",
                )


def component_setting_ambiguous(project: Project) -> Iterator[Problem]:
    """A setting with more than one source.

    Of `value`, `secretKeyRef` and `envRef` one is meant to be there. With two, the sidecar prefers one of them
    without a word: an old password in `value`, say, before the variable that should replace it.
    """
    for component in project.components:
        for number, item in entries(component):
            told = [
                each for each in ("value", "secretKeyRef", "envRef") if item.get(each)
            ]
            if len(told) > 1:
                message = f"`{item.get('name')}` has a {' and a '.join(told)}"
                yield component.problem(message, "spec", "metadata", number, "name")


def component_in_memory(project: Project) -> Iterator[Problem]:
    """A component that keeps everything in the sidecar's memory.

    Nothing of it outlives the sidecar, and no other app sees it: for tests alone.
    """
    for component in project.components:
        kind = component.text("spec", "type")
        if kind in ("pubsub.in-memory", "state.in-memory"):
            yield component.problem(
                f"`{kind}` forgets everything with its sidecar", "spec", "type"
            )


def actor_state_store_twice(project: Project) -> Iterator[Problem]:
    """Two state stores for actors.

    A sidecar takes one, and ends with "detected duplicate actor state store" where it loads a second.
    """
    for part in project.resources:
        first: Document | None = None
        for component in part.of_kind("Component") if part.is_judged else ():
            if str(settings(component).get("actorStateStore", "")).lower() != "true":
                continue
            if first is None:
                first = component
            elif meet(first, component):
                message = f"`{component.name}` is a state store for actors, as `{first.name}` is"
                yield component.problem(
                    message, *place_of(component, "actorStateStore")
                )


def _key_of(component: Document, name: str) -> tuple[str | int, ...]:
    return (*place_of(component, name)[:-1], "name")


def _known(project: Project) -> Iterator[tuple[Document, Component]]:
    for component in project.components:
        told = table.component(component.text("spec", "type"))
        if told is not None:
            yield component, told


RULES = [
    Rule(component_without_type, Severity.FATAL, "Add it, such as `pubsub.redis`."),
    Rule(
        component_settings_no_list,
        Severity.FATAL,
        "Write `- name: …` and `value: …` for each setting.",
    ),
    Rule(component_type_misspelt, Severity.FATAL, "Correct the type."),
    Rule(component_version_unknown, Severity.FATAL, "Correct the version."),
    Rule(
        component_setting_unknown,
        Severity.WARNING,
        "Correct the name, or remove the setting.",
    ),
    Rule(component_setting_case, Severity.WARNING, "Write it as the component does."),
    Rule(component_setting_missing, Severity.FATAL, "Add it."),
    Rule(component_login_incomplete, Severity.FATAL, "Complete the one that you mean."),
    Rule(component_setting_value, Severity.ERROR, "Correct the value."),
    Rule(
        component_setting_deprecated,
        Severity.INFO,
        "See the component's reference for what replaces it.",
    ),
    Rule(component_setting_twice, Severity.WARNING, "Remove one."),
    Rule(component_setting_ambiguous, Severity.WARNING, "Keep one of them."),
    Rule(
        component_in_memory,
        Severity.INFO,
        "Use a broker or a database for whatever must not be lost.",
    ),
    Rule(
        actor_state_store_twice,
        Severity.FATAL,
        "Remove `actorStateStore` from one, or give them scopes.",
    ),
]
