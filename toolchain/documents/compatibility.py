"""Whether a schema may take the place of a published one of the same version: `incompatibilities`."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

ANNOTATIONS = frozenset({
    "$schema", "$id", "$comment", "$defs", "$ref",
    "title", "description", "examples", "deprecated", "readOnly", "writeOnly",
})  # fmt: skip
"""Keywords that no reader decides by."""
FIELDS = frozenset({"properties", "required"})
ONE_SCHEMA = frozenset({"items", "additionalProperties"})
SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
UPPER = frozenset({"maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties"})  # fmt: skip
LOWER = frozenset({"minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties"})  # fmt: skip
OLD_EVENTS = "events that were sent before would be refused by the new code"
OLD_READERS = "events that are sent from now on would be refused by readers of before"


def incompatibilities(published: Schema, current: Schema) -> list[str]:
    """List every change that the current schema makes to a published one of the same version, and may not.

    Both directions count, for a system is never changed everywhere at once, and events wait in outboxes,
    queues and dead letters meanwhile. An event that an old producer sent must be read by the new code, so
    nothing may be tightened; an event that a new producer sends must be read by old code, so nothing may be
    loosened either. Fields keep what they accept: type, format, pattern, length, range, values.

    What remains is to add an optional field, and to say things better (titles, descriptions, examples):
    readers tolerate fields that they do not know, and can do without an optional one. To remove an optional
    field is refused though both sides could still parse: readers may count on it, and its name would be free
    for something else. A default is part of what an absent field means, so it does not change either.
    """
    return list(_Comparison(published, current).differences())


class _Comparison:
    def __init__(self, published: Schema, current: Schema) -> None:
        self.published, self.current = published, current
        self.seen: set[tuple[str, str]] = set()

    def differences(self) -> Iterator[str]:
        yield from self._schema("the event", self.published, self.current)

    def _schema(self, at: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401 - a schema may be a boolean
        if not isinstance(old, dict) or not isinstance(new, dict):
            if old != new:
                yield f"{at}: what it may be was changed from {old} to {new}"
            return
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and "$ref" in new:
            if pair in self.seen:  # it refers to itself, and is being compared
                return
            self.seen.add(pair)
        yield from self._resolved(
            at, _resolve(old, self.published), _resolve(new, self.current)
        )

    def _resolved(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        yield from self._fields(at, old, new)
        for keyword in sorted((old.keys() | new.keys()) - ANNOTATIONS - FIELDS):
            yield from self._keyword(at, keyword, old.get(keyword), new.get(keyword))

    def _fields(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed = (
            set(old.get("required", [])),
            set(new.get("required", [])),
        )
        for name in sorted(before.keys() | after.keys()):
            field = name if at == "the event" else f"{at}.{name}"
            if name not in after:
                yield f"{field}: the field was removed; readers of before may need it"
            elif name not in before:
                if name in needed:
                    yield f"{field}: the new field is required; {OLD_EVENTS}"
            else:
                yield from _need(field, name in needed_before, name in needed)
                yield from self._schema(field, before[name], after[name])

    def _keyword(self, at: str, keyword: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
        both = old is not None and new is not None
        if both and keyword in ONE_SCHEMA:
            yield from self._schema(f"{at}[]", old, new)
        elif both and keyword in SCHEMAS and len(old) == len(new):
            for number, (one, other) in enumerate(zip(old, new, strict=True), 1):
                yield from self._schema(f"{at} ({keyword} {number})", one, other)
        elif both and keyword == "enum":
            yield from _values(at, old, new)
        elif old != new:
            yield f"{at}: {_change(keyword, old, new)}"


def _resolve(schema: Schema, document: Schema) -> Schema:
    while "$ref" in schema:
        beside = {keyword: schema[keyword] for keyword in schema if keyword != "$ref"}
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = {**document["$defs"][name], **beside}
    return _in_one_spelling(schema)


def _in_one_spelling(schema: Schema) -> Schema:
    if schema.get("additionalProperties") is True:
        schema = {k: v for k, v in schema.items() if k != "additionalProperties"}
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
        del schema["const"]
    return schema


def _need(field: str, before: bool, now: bool) -> Iterator[str]:  # noqa: FBT001 - two of a kind, side by side
    if before and not now:
        yield f"{field}: it was required, and is optional now; {OLD_READERS}"
    if now and not before:
        yield f"{field}: it was optional, and is required now; {OLD_EVENTS}"


def _values(at: str, old: list[Any], new: list[Any]) -> Iterator[str]:
    if removed := [value for value in old if value not in new]:
        yield f"{at}: it may no longer be {_list(removed)}; {OLD_EVENTS}"
    if added := [value for value in new if value not in old]:
        yield f"{at}: it may now be {_list(added)} as well; {OLD_READERS}"


def _list(values: list[Any]) -> str:
    return ", ".join(map(repr, values))


def _change(keyword: str, old: Any, new: Any) -> str:  # noqa: ANN401 - JSON
    if old is None:
        return f"{keyword} {new!r} is new; {OLD_EVENTS}"
    if new is None:
        return f"{keyword} {old!r} is gone; {OLD_READERS}"
    tightened = (keyword in UPPER and new < old) or (keyword in LOWER and new > old)
    loosened = (keyword in UPPER and new > old) or (keyword in LOWER and new < old)
    why = f"; {OLD_EVENTS}" if tightened else f"; {OLD_READERS}" if loosened else ""
    return f"{keyword} was changed from {old!r} to {new!r}{why}"
