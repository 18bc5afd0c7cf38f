"""The metrics that the code defines, as Prometheus names them."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

from chassis.runtime.metrics import Shown


@dataclass(frozen=True)
class Described:
    """One metric: its name, what kind it is, its labels, and what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str


def measured(module: ModuleType) -> Iterator[Described]:
    """Yield the metrics that a module defines."""
    for each in vars(module).values():
        if isinstance(each, MetricWrapperBase):
            yield _instrument(each)
        elif isinstance(each, Shown):
            yield Described(each.name, "gauge", each.labels, each.documentation)


def _instrument(instrument: MetricWrapperBase) -> Described:
    (family,) = instrument.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Described(name, family.type, instrument._labelnames, family.documentation)
