"""What came by OTLP, as Zipkin takes it."""

import json
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from toolchain.observe.otlp import Span


def send(spans: Sequence[Span], address: str) -> None:
    """Hand spans to Zipkin at this host and port; where it does not take them, they are lost."""
    body = json.dumps([shown(each) for each in spans if not is_idle(each)]).encode()
    url, kind = f"http://{address}/api/v2/spans", "application/json"
    request = urllib.request.Request(url, body, {"content-type": kind})
    with suppress(OSError), urllib.request.urlopen(request, timeout=5):
        pass


def is_idle(span: Span) -> bool:
    """Return whether a sidecar was only asked something: whoever watches asks again and again."""
    return not span.parent and str(span.attributes.get("dapr.api")).startswith("GET ")


def shown(span: Span) -> dict[str, Any]:
    """Return a span as Zipkin takes it: it knows no links, which are tags here."""
    links = {
        f"link {number}": f"{trace}/{of}"
        for number, (trace, of) in enumerate(span.links, 1)
    }
    tags = {name: str(value) for name, value in (span.attributes | links).items()}
    if span.failed:
        tags["error"] = tags.get("error.type", "true")
    made = {
        "traceId": span.trace,
        "id": span.id,
        "parentId": span.parent or None,
        "name": span.name,
        "kind": None if span.kind in {"INTERNAL", "UNSPECIFIED"} else span.kind,
        "timestamp": span.start // 1000,
        "duration": max(1, (span.end - span.start) // 1000),
        "localEndpoint": {"serviceName": span.service},
        "tags": tags,
    }
    return {name: value for name, value in made.items() if value is not None}
