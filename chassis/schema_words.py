"""A JSON Schema in words and in an example, for people: the API's page shows it so."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

EXAMPLES: dict[str, object] = {
    "uuid": "01a20727-ad7d-7a6d-8ffc-e0698ef24ad8",
    "date-time": "2026-01-31T08:15:30.123Z",
    "email": "jane.doe@example.org",
    "uri": "https://example.org",
}
OF_TYPE: dict[str, object] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}  # fmt: skip
NULL = {"type": "null"}
DEEPEST = 3


@dataclass(frozen=True)
class Row:
    """One field, as a line of a list: its name from the outside in, and what it is in words."""

    name: str
    kind: str
    need: str = ""
    description: str = ""


def resolve(schema: Json, document: Json) -> Json:
    """Follow references inside the document, and see through a wrapping of one."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def rows(
    schema: Json, document: Json, *, need: str = "", within: str = ""
) -> Iterator[Row]:
    """List an object's fields, and below each the fields of what it contains; `need` marks required ones."""
    schema = resolve(schema, document)
    for name, field in schema.get("properties", {}).items():
        needed = need if name in schema.get("required", []) else ""
        kind, description = words(field, document), field.get("description", "")
        yield Row(within + name, kind, needed, description)
        inner = resolve(_choices(field)[0], document)
        inner, after = (inner["items"], "[].") if "items" in inner else (inner, ".")
        # What contains itself has no end.
        if (within + name).count(".") < DEEPEST:
            yield from rows(inner, document, need=need, within=within + name + after)


def words(schema: Json, document: Json) -> str:
    """Say in words what a value may be: `string, 1 to 200 characters`."""
    choices = [_kind(resolve(each, document), document) for each in _choices(schema)]
    nullable = NULL in schema.get("anyOf", [])
    default = schema.get("default")
    said = " or ".join([*choices, *(["null"] if nullable else [])])
    return f"{said}, {default} if it is not given" if default is not None else said


def _choices(schema: Json) -> list[Json]:
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    return [each for each in several if each != NULL] if several else [schema]


def _kind(schema: Json, document: Json) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return f"list of {'objects' if 'properties' in resolve(items, document) else words(items, document)}"
    kind = schema.get("format") or schema.get("type", "any value")
    return ", ".join([str(kind), *_limits(schema)])


def _limits(schema: Json) -> Iterator[str]:
    for least, most, unit in (
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
    ):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            yield f"{low} to {high}{unit}"
        elif low is not None:
            yield f"at least {low}{unit}"
        elif high is not None:
            yield f"at most {high}{unit}"


def example(schema: Json, document: Json, depth: int = 6) -> object:
    """Make up a value: the one that the schema gives, else one that fits its type."""
    whole = resolve(schema, document)
    schema = resolve(_choices(whole)[0], document)
    for given in (
        whole.get("examples"),
        schema.get("examples"),
        schema.get("enum"),
        [schema.get("const"), schema.get("default")],
    ):
        if (
            given
            and (value := next((v for v in given if v is not None), None)) is not None
        ):
            return value
    if not depth:
        return {}
    if "properties" in schema:
        return {
            name: example(field, document, depth - 1)
            for name, field in schema["properties"].items()
        }
    if schema.get("type") == "array":
        return [example(schema.get("items", {}), document, depth - 1)]
    return _simple(schema)


def _simple(schema: Json) -> object:
    if schema.get("type") == "object":
        return {}
    if "minimum" in schema:
        return schema["minimum"]
    by_type = OF_TYPE.get(schema.get("type", ""), "text")
    return EXAMPLES.get(schema.get("format", ""), by_type)
