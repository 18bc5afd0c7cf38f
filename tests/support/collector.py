"""A collector of traces, which keeps what the services and their sidecars export."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from tests.support.eventually import eventually
from toolchain.observe.otlp import Span, parse, receiving
from toolchain.runfile import free_port


@dataclass
class Collector:
    """The spans that came to `endpoint`."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)

    def of(self, trace: str) -> list[Span]:
        """Return the spans of a trace, in the order in which they began.

        Whichever of the broker's components has published the event, it is called `pubsub` here: where one of them
        was in trouble a moment before, another does it.
        """
        mine = [
            replace(each, name=re.sub(r"/pubsub-\d/", "/pubsub/", each.name))
            for each in self.spans
            if each.trace == trace
        ]
        return sorted(mine, key=lambda each: each.start)

    async def has(self, trace: str, *names: str) -> list[Span]:
        """Return the spans of a trace once these are among them."""

        async def found() -> list[Span] | None:
            spans = self.of(trace)
            return spans if set(names) <= {each.name for each in spans} else None

        try:
            return await eventually(found, f"the trace {trace}", deadline=30)
        except AssertionError as error:
            has = sorted(each.name for each in self.of(trace))
            raise AssertionError(f"{error}: {has}, not {names}") from None

    async def about(self, subject: str) -> str:
        """Return the one trace of what happened to this subject, once it is there."""

        async def found() -> str | None:
            traces = {
                each.trace
                for each in self.spans
                if each.attributes.get("messaging.message.conversation_id") == subject
            }
            assert len(traces) <= 1
            return next(iter(traces), None)

        return await eventually(found, f"a trace of {subject}", deadline=30)

    @property
    def environment(self) -> dict[str, str]:
        """What the parts of a system need to export everything at once."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_TRACES_SAMPLER": "parentbased_always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()

    def take(body: bytes) -> None:
        collector.spans.extend(parse(body))

    with receiving(free_port(), take) as endpoint:
        collector.endpoint = endpoint
        yield collector


def named(spans: Sequence[Span], name: str, service: str = "") -> Span:
    """Return the one span of this name, of a service of ours or of a sidecar."""
    (found,) = [
        each for each in spans if each.name == name and service in ("", each.service)
    ]
    return found


def are_connected(spans: Sequence[Span]) -> bool:
    """Return whether one root has all others below it."""
    ids = {each.id for each in spans}
    return len([each for each in spans if each.parent not in ids]) == 1
