"""docs/chassis.md: the chassis' public names, room by room, as its code documents them."""

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import chassis

PAGE = "docs/chassis.md"
ROOMS = (
    *("service", "http", "inbox", "outbox", "database", "dapr", "runtime"),
    *("pages", "operations", "dead_letters", "reconciler", "feed", "access"),
)
MODULES = ("event", "cloud_event", "errors", "parts", "runtime.settings")
"""What is public beside the rooms: all that these modules define, but for names with an underscore."""
HEAD = """\
# The chassis' public names

Made by `make docs` from the code; a change here would be lost. A service imports what it needs from a room, or
from one of the modules after the rooms. Within a major version none of these names goes, and none changes its
meaning ([what a version promises](your-own.md#what-a-version-promises)); all else may change with any release.
"""


@cache
def document() -> str:
    """Return the whole page."""
    return HEAD + "".join(_section(f"chassis.{name}") for name in (*ROOMS, *MODULES))


def _section(name: str) -> str:
    module = importlib.import_module(name)
    rows = "".join(f"| `{each}` | {what} |\n" for each, what in public(module))
    head = f"\n## `{name}`\n\n{_first_line(module.__doc__)}\n\n"
    return f"{head}| name | what it is |\n| --- | --- |\n{rows}"


def public(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the public names of a room or a module, each with what it says about itself."""
    for name in getattr(module, "__all__", None) or _own(module):
        yield name, _described(name, getattr(module, name))


def _own(module: ModuleType) -> list[str]:
    names = (name for name in vars(module) if not name.startswith("_"))
    return sorted(each for each in names if _is_of(module, getattr(module, each)))


def _is_of(module: ModuleType, value: object) -> bool:
    is_one = inspect.isclass(value) or inspect.isfunction(value)
    return is_one and getattr(value, "__module__", "") == module.__name__


def _described(name: str, value: object) -> str:
    place = str(getattr(value, "__module__", ""))
    if inspect.isclass(value) or inspect.isfunction(value):
        ours = place.startswith("chassis.")
        return _first_line(value.__doc__) if ours else f"that of `{place}`"
    # A constant, or another name for a type: its documentation follows it.
    pattern = rf'^{name}\b[^\n]* = (?:(?!\n\n).)*?\n"""(.+?)(?:\n|""")'
    found = re.search(pattern, _sources(), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@cache
def _sources() -> str:
    files = sorted(Path(chassis.__path__[0]).rglob("*.py"))
    return "\n".join(each.read_text("utf-8") for each in files)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]
