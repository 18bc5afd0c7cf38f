"""Whether a schema may take the place of a published one of the same version: `incompatibilities`."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

ANNOTATIONS = frozenset({
    "$schema", "$id", "$comment", "$defs", "$ref",
    "title", "description", "examples", "deprecated", "readOnly", "writeOnly",
})  # fmt: skip
"""Keywords that no reader decides by."""


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
    old, new = (_inlined(each, each) for each in (published, current))
    return list(_differences("event", old, new))


def _inlined(schema: Any, document: Schema, within: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without annotations, and what it refers to in its place, except itself."""
    if isinstance(schema, list):
        return [_inlined(each, document, within) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (name := schema.get("$ref")) and name not in within:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        definition = document["$defs"][name.removeprefix("#/$defs/")]
        return _inlined({**definition, **beside}, document, (*within, name))
    kept = {
        keyword: _inlined(each, document, within)
        for keyword, each in schema.items()
        if keyword not in ANNOTATIONS
    }
    fields = schema.get("properties", {})  # its keys are names, and no keywords
    named = {name: _inlined(each, document, within) for name, each in fields.items()}
    return {**kept, "properties": named}


def _differences(at: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _fields(at, old, new)
        for keyword in sorted((old.keys() | new.keys()) - {"properties", "required"}):
            yield from _differences(
                f"{at}: {keyword}", old.get(keyword), new.get(keyword)
            )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        # An enum is the same in any order.
        pairs = zip(old, new, strict=True) if any(x not in old for x in new) else ()
        for number, (one, other) in enumerate(pairs, 1):
            yield from _differences(f"{at} {number}", one, other)
    elif old != new:
        yield f"{at} was changed from {old!r} to {new!r}"


def _fields(at: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, field in before.items():
        if name in after:
            yield from _differences(f"{at}.{name}", field, after[name])
        else:
            yield f"{at}.{name} was removed"
    needed, needs = set(old.get("required", [])), set(new.get("required", []))
    yield from (f"{at}.{name} is required now" for name in sorted(needs - needed))
    yield from (f"{at}.{name} is optional now" for name in sorted(needed - needs))
