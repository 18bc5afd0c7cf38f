"""What the services consist of, found in their code: their apps, and who publishes and reacts to an event."""

import ast
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import FastAPI

import services
from chassis.event import Event
from chassis.inbox import Reaction


@dataclass(frozen=True)
class Use:
    """A module that publishes an event, or a reaction to it, with the summary of its docstring."""

    service: str
    name: str
    summary: str


@cache
def names() -> tuple[str, ...]:
    """Return the names of all services: the packages in `services/`."""
    return tuple(
        each.name for each in pkgutil.iter_modules(services.__path__) if each.ispkg
    )


def app(service: str) -> FastAPI:
    """Return a service's app with its default settings, whatever the environment says."""
    module = importlib.import_module(f"services.{service}.app")
    made: FastAPI = module.create_app(module.Settings.model_construct())
    return made


def publishers(event: type[Event]) -> list[Use]:
    """Return the modules that make this event: those that call its class or its `model_validate`."""
    found = []
    for service in names():
        for file in sorted(_folder(service).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(
                isinstance(node, ast.Call) and event.__name__ == _made(node)
                for node in ast.walk(tree)
            ):
                found.append(
                    Use(service, file.stem, _first_line(ast.get_docstring(tree)))
                )
    return found


def _folder(service: str) -> Path:
    return Path(services.__path__[0]) / service


def _made(node: ast.Call) -> str:
    # OrderCreated(…), or OrderCreated.model_validate(order)
    return ast.unparse(node.func).removesuffix(".model_validate").rpartition(".")[2]


def reactions_to(event: type[Event]) -> list[Use]:
    """Return the reactions to this event: every Reaction in a service's `reactions/`."""
    return [
        Use(service, reaction.name, _first_line(reaction.act.__doc__))
        for service in names()
        for reaction in _reactions(service)
        if reaction.event is event
    ]


def _reactions(service: str) -> list[Reaction[Event]]:
    folder = _folder(service) / "reactions"
    modules = sorted(file.stem for file in folder.glob("[!_]*.py"))
    loaded = (
        importlib.import_module(f"services.{service}.reactions.{name}")
        for name in modules
    )
    values = (value for module in loaded for value in vars(module).values())
    return [value for value in values if isinstance(value, Reaction)]


def _first_line(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]
