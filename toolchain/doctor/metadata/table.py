"""What each component type reads: the stored table, corrected by hand where a component does otherwise."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

STORED = Path(__file__).with_name("components.json")
DEVIATIONS = Path(__file__).with_name("deviations.yaml")
FORMS = {
    "bool": re.compile(r"(?i)true|false|1|0|t|f|y|n|yes|no|on|off"),
    "number": re.compile(r"-?\d+(\.\d+)?"),
    "duration": re.compile(r"-?\d+|-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+"),
    "bytesize": re.compile(r"-?\d+([kMG]|[KMG]i)?"),
}
"""How a value looks; of other types every text is one."""
EVERYWHERE = {
    "pubsub": "consumerID publishingScopes subscriptionScopes allowedTopics protectedTopics",
    "state": "keyPrefix actorStateStore primaryEncryptionKey secondaryEncryptionKey queryIndexes "
    "outboxPublishPubsub outboxPublishTopic outboxPubsub outboxDiscardWhenMissingState",
    "bindings": "direction route",
    "secretstores": "",
}
"""What daprd itself reads of every component of a kind."""


@dataclass(frozen=True)
class Field:
    """What a component reads under one name."""

    type: str = "string"
    is_required: bool = False
    is_sensitive: bool = False
    is_deprecated: bool = False
    allowed: tuple[str, ...] = ()

    def allows(self, value: str) -> bool:
        """Return whether a value is an allowed one, if only some are; most components ignore the case."""
        return not self.allowed or value.lower() in (
            each.lower() for each in self.allowed
        )

    def fits(self, value: str) -> bool:
        """Return whether a text has the form of this field's type."""
        form = FORMS.get(self.type)
        return form is None or bool(form.fullmatch(value))


Fields = dict[str, Field]


@dataclass(frozen=True)
class Component:
    """A component type: its versions, its fields, the ways to log in, and what it reads of a subscription.

    `is_reviewed` where somebody compared the table with the component's source.
    """

    versions: tuple[str, ...]
    fields: Fields
    profiles: Mapping[str, Fields] = field(default_factory=dict)
    subscription: Fields = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    is_reviewed: bool = False

    def known(self) -> Fields:
        """Return all fields, those of each way to log in too."""
        found = dict(self.fields)
        for profile in self.profiles.values():
            for name, each in profile.items():
                found[name] = _merged(found[name], each) if name in found else each
        return found


def packed(told: Mapping[str, Any]) -> str:
    """Return a field of a metadata.yaml in few words, as it is stored."""
    words = [str(told.get("type") or "string").strip()]
    # What has a default can be left out, whatever else is said of it.
    words += ["required"] if told.get("required") and "default" not in told else []
    words += [each for each in ("sensitive", "deprecated") if told.get(each)]
    if allowed := told.get("allowedValues"):
        words.append("=" + "|".join(str(each).strip('"') for each in allowed))
    return " ".join(words)


def unpacked(text: str) -> Field:
    """Return the field that these words stand for."""
    head, _, allowed = text.partition(" =")
    kind, *flags = head.split()
    return Field(
        kind,
        "required" in flags,
        "sensitive" in flags,
        "deprecated" in flags,
        tuple(allowed.split("|")) if allowed else (),
    )


@cache
def stored() -> Mapping[str, Any]:
    """Return the table as it is stored."""
    content: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return content


@cache
def deviations() -> Mapping[str, list[dict[str, Any]]]:
    """Return where component types do other than their metadata.yaml says."""
    listed: dict[str, list[dict[str, Any]]] = yaml.safe_load(
        DEVIATIONS.read_text(encoding="utf-8")
    )
    return listed


@cache
def component(kind: str) -> Component | None:
    """Return what is known of a component type's fields; None where they are not stored."""
    entry = stored()["types"].get(kind)
    if entry is None or "fields" not in entry:
        return None
    found = Component(
        versions=tuple(entry["versions"]),
        fields=_unpacked(entry["fields"]),
        profiles={
            name: _unpacked(each) for name, each in entry.get("profiles", {}).items()
        },
        is_reviewed=kind in deviations(),
    )
    for each in deviations().get(kind, ()):
        found = _corrected(found, each)
    return found


@cache
def versions() -> Mapping[str, tuple[str, ...]]:
    """Return every component type that daprd knows, with its versions."""
    return {name: tuple(each["versions"]) for name, each in stored()["types"].items()}


def common(kind: str) -> list[str]:
    """Return what daprd itself reads of every component of a kind."""
    return EVERYWHERE.get(kind.partition(".")[0], "").split()


def _unpacked(fields: Mapping[str, str]) -> Fields:
    return {name: unpacked(text) for name, text in fields.items()}


def _corrected(told: Component, deviation: Mapping[str, Any]) -> Component:
    name, how, facts = deviation["field"], deviation["is"], deviation.get("as", {})
    if how == "missing":
        return replace(told, fields=told.fields | {name: _with(Field(), facts)})
    if how == "subscription":
        return replace(
            told, subscription=told.subscription | {name: _with(Field(), facts)}
        )
    if how == "profile":
        return replace(told, profiles={**told.profiles, name: _unpacked(facts)})
    if how == "unread":
        return replace(told, ignored=told.ignored | {name})
    return replace(
        told,
        fields=_changed(told.fields, name, facts),
        profiles={
            title: _changed(each, name, facts) for title, each in told.profiles.items()
        },
    )


def _changed(fields: Fields, name: str, facts: Mapping[str, Any]) -> Fields:
    return {
        each: _with(was, facts) if each == name else was for each, was in fields.items()
    }


def _with(was: Field, facts: Mapping[str, Any]) -> Field:
    allowed: Iterable[str] = facts.get("allowed", was.allowed)
    return replace(
        was,
        type=facts.get("type", was.type),
        is_required=facts.get("required", was.is_required),
        allowed=tuple(allowed),
    )


def _merged(one: Field, other: Field) -> Field:
    # Where some way to log in takes any value, any value may be right.
    allowed = (*one.allowed, *other.allowed) if one.allowed and other.allowed else ()
    return replace(
        one, allowed=allowed, is_sensitive=one.is_sensitive or other.is_sensitive
    )
