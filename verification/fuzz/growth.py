"""How much the chassis and the services keep in memory: what grows with what is sent, grows without bound."""

import gc
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import _lru_cache_wrapper
from typing import Any

OURS = ("chassis.", "services.")
CONTAINERS = dict, list, set, deque


FILLED_AHEAD = {"chassis.runtime.clock._words"}
"""Never more than is fetched at a time, whatever is sent; used up and filled again."""


def sizes() -> Counter[str]:
    """Return the size of the largest container of each name that an object or a module of ours has."""
    found: Counter[str] = Counter()
    for name, size in _named():
        found[name] = max(found[name], size)
    for name in FILLED_AHEAD:
        del found[name]
    return found


def _named() -> Iterator[tuple[str, int]]:
    gc.collect()
    for each in gc.get_objects():
        kind = type(each)
        if str(kind.__module__).startswith(OURS) and hasattr(each, "__dict__"):
            yield from _of(kind.__qualname__, vars(each))
    for name, module in [*sys.modules.items()]:
        if name.startswith(OURS):
            yield from _of(name, vars(module))


def _of(owner: str, members: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in [*members.items()]:
        if isinstance(value, CONTAINERS):
            yield f"{owner}.{name}", len(value)
        elif isinstance(value, _lru_cache_wrapper):
            yield f"{owner}.{name}()", value.cache_info().currsize
