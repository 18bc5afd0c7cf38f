"""docs/reference.md: every setting, event, problem, metric and command line, as the code has them."""

import importlib
import io
import os
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, get_args, get_origin
from unittest.mock import patch

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import chassis
import services as all_services
from chassis.errors import Rejected
from chassis.event import Event
from chassis.runtime import ServiceSettings
from toolchain.documents import schemas, services
from toolchain.documents.metrics import Described, measured

COMMANDS = {
    "chassis.dead_letters.__main__": [
        ["SERVICE", verb] for verb in ("list", "show", "replay", "discard")
    ],
    "services.notification.release": [],
}
"""The command lines, and what comes before the --help of their verbs."""
HEAD = """\
# Reference

Made by `make docs` from the code; a change here would be lost. The API is in [api.md](api.md).

"""


@cache
def document() -> str:
    """Return the whole page."""
    parts = (_settings(), _events(), _problems(), _metrics(), _commands())
    return HEAD + "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    for cells in (head, ["---"] * len(head), *rows):
        # A bar would end its cell.
        yield "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "Environment variables, read once at the start; a wrong one ends it with one sentence and status 78."
    common = ServiceSettings.model_fields
    yield from settings_table("Every service", ServiceSettings, common)
    for name in services.names():
        own = importlib.import_module(f"services.{name}.app").Settings
        fields = own.model_fields
        new = [each for each in fields if each not in common]
        new += [each for each in common if fields[each].default != common[each].default]
        yield from settings_table(f"The {name} service", own, new)


def settings_table(
    title: str, settings: type[BaseSettings], names: Iterable[str]
) -> Iterator[str]:
    """Yield a table of these settings; raises ValueError where one has no description."""
    fields = {name: settings.model_fields[name] for name in names}
    yield from ("", f"### {title}", "")
    yield from _table(
        ("variable", "values", "default", "meaning"),
        (
            (f"`{name.upper()}`", _values(each), _default(each), _meaning(name, each))
            for name, each in fields.items()
        ),
    )


def _meaning(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise ValueError(f"the setting {name} has no description")
    return field.description


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "each service's own"
    return "none" if field.default is None else f"`{field.default}`"


def _values(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if get_origin(annotation) is UnionType:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(annotation))
    bounds = [
        f"{word} {bound}"
        for rule in field.metadata
        for word, name in (("from", "ge"), ("above", "gt"), ("to", "le"))
        if (bound := getattr(rule, name, None)) is not None
    ]
    kind = {int: "whole number", float: "number", SecretStr: "secret"}
    is_path = isinstance(annotation, type) and issubclass(annotation, Path)
    return " ".join([kind.get(annotation, "path" if is_path else "text"), *bounds])


def _events() -> Iterator[str]:
    yield from ("## Events", "")
    yield "CloudEvents 1.0; the topic is the type. Their schemas are in `contracts/schemas/`, samples beside them."
    for event in schemas.events():
        yield from ("", f"### {event.__name__}", "")
        yield f"{_first_line(event)} From the {event.source} service; {event.delivery}."
        takers = [
            f"`{each.name}` ({who})" for who, each in services.reactions_to(event)
        ]
        yield from (f"Reactions: {', '.join(takers)}.", "")
        yield from _table(("field of `data`", "", "what"), _fields(event))


def _fields(event: type[Event]) -> Iterator[tuple[str, str, str]]:
    schema = schemas.of_data(event)
    for name, field in schema["properties"].items():
        choice = ", ".join(f"`{each}`" for each in field.get("enum", []))
        kind = field.get("format") or field.get("type", "")
        limits = {"minLength": "at least {}", "maxLength": "at most {}"}
        bounds = [
            text.format(field[key]) for key, text in limits.items() if key in field
        ]
        needed = "required" if name in schema["required"] else "optional"
        yield f"`{name}`", needed, choice or ", ".join([kind, *bounds])


def _first_line(documented: type) -> str:
    text = (documented.__doc__ or "").split("\n")[0]
    return text if text.endswith(".") else f"{text}."


def _problems() -> Iterator[str]:
    yield from ("## Problems", "")
    yield "The `type` of each problem document (RFC 9457), for programs. What is answered 503 may be sent again."
    yield ""
    found = {each for module in _modules() for each in _rejections(module)}
    in_order = sorted(found, key=lambda each: (each.status, each.type()))
    rows = (
        (
            str(each.status),
            f"`{each.type()}`",
            each.title(),
            f"after {each.retry_after} s" if each.retry_after else "",
        )
        for each in in_order
    )
    yield from _table(("status", "type", "meaning", "retry"), rows)


def _rejections(module: ModuleType) -> list[type[Rejected]]:
    own = [each for each in vars(module).values() if isinstance(each, type)]
    return [
        each
        for each in own
        if issubclass(each, Rejected)
        and each is not Rejected
        and each.__module__ == module.__name__
    ]


def _modules() -> Iterator[ModuleType]:
    for package in (chassis, all_services):
        prefix = f"{package.__name__}."
        for each in pkgutil.walk_packages(package.__path__, prefix):
            # Migrations run only within Alembic.
            if ".migrations" not in each.name and not each.name.endswith("__main__"):
                yield importlib.import_module(each.name)


def _metrics() -> Iterator[str]:
    yield from ("## Metrics", "")
    yield "What Prometheus reads at `/metrics`, besides `process_…` and `python_…`; no label holds an id,"
    yield "or what a customer wrote. Their alerts, and what to do: [runbooks.md](runbooks.md)."
    yield ""
    rows = (
        (
            f"`{each.name}`",
            each.kind,
            ", ".join(f"`{label}`" for label in each.labels),
            each.documentation,
        )
        for each in described()
    )
    yield from _table(("metric", "kind", "labels", "meaning"), rows)


def described() -> list[Described]:
    """Return every metric that the services define, by name."""
    found = {each.name: each for module in _modules() for each in measured(module)}
    return [found[name] for name in sorted(found)]


def _commands() -> Iterator[str]:
    yield from ("## Command lines", "")
    yield "Exit status 0 is success, 2 a wrong command line, 75 what another try may cure, 78 a wrong setting."
    for module, verbs in COMMANDS.items():
        name = module.removesuffix(".__main__")
        yield from ("", f"### `python -m {name}`", "", "```")
        yield "\n\n".join(_help(module, words) for words in ([], *verbs))
        yield "```"


def _help(module: str, words: Sequence[str]) -> str:
    parse = importlib.import_module(module).parse
    # As wide wherever it is made; argparse asks the environment.
    wide = patch.dict(os.environ, COLUMNS="110", NO_COLOR="1")
    shown = io.StringIO()
    with wide, redirect_stdout(shown), suppress(SystemExit):
        parse([*words, "--help"])
    return shown.getvalue().rstrip()
