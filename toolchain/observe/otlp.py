"""A receiver of traces: OTLP over HTTP, in protobuf, as the services and their sidecars export them."""

import gzip
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status

PATH = "/v1/traces"

Value = str | int | float | bool


@dataclass(frozen=True)
class Span:
    """A span that was exported; its times are nanoseconds since 1970, its links are (trace, span)."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, Value]
    links: Sequence[tuple[str, str]]


Take = Callable[[bytes], object]


def parse(body: bytes) -> list[Span]:
    """Return the spans of one request; raises protobuf's DecodeError where it is none."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _span(str(_values(group.resource.attributes).get("service.name", "")), span)
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(service: str, sent: Sent) -> Span:
    return Span(
        service,
        sent.name,
        Sent.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_"),
        sent.trace_id.hex(),
        sent.span_id.hex(),
        sent.parent_span_id.hex(),
        sent.start_time_unix_nano,
        sent.end_time_unix_nano,
        sent.status.code == Status.STATUS_CODE_ERROR,
        _values(sent.attributes),
        [(each.trace_id.hex(), each.span_id.hex()) for each in sent.links],
    )


def _values(attributes: Sequence[KeyValue]) -> dict[str, Value]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Value:
    which = value.WhichOneof("value")
    found = getattr(value, which) if which else ""
    return found if isinstance(found, Value) else str(found)


class _Receiver(ThreadingHTTPServer):
    daemon_threads = True
    take: Take


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == PATH:
            self.server.take(body)
        self.send_response(200 if self.path == PATH else 404)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002, ANN401 - http.server's
        """Print nothing."""


@contextmanager
def receiving(port: int, take: Take, host: str = "127.0.0.1") -> Iterator[str]:
    """Receive at this port of the host, and hand on each request; yield the endpoint."""
    with _Receiver((host, port), _Handler) as server:
        server.take = take
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.shutdown()
            thread.join()
