"""What the services consist of, found in their code: their apps, and who reacts to an event."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fastapi import FastAPI

import services
from chassis.event import Event
from chassis.inbox import Reaction


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


def reactions_to(event: type[Event]) -> Iterator[tuple[str, Reaction[Event]]]:
    """Yield the reactions to this event, each with its service: every Reaction in a `reactions/`."""
    for service in names():
        for reaction in _reactions(service):
            if reaction.event is event:
                yield service, reaction


def _reactions(service: str) -> list[Reaction[Event]]:
    folder = Path(services.__path__[0]) / service / "reactions"
    modules = sorted(file.stem for file in folder.glob("[!_]*.py"))
    loaded = (
        importlib.import_module(f"services.{service}.reactions.{name}")
        for name in modules
    )
    values = (value for module in loaded for value in vars(module).values())
    return [value for value in values if isinstance(value, Reaction)]
