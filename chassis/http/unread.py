"""A connection whose answer nobody reads is closed: a server that is to end would wait for it."""

from socket import IPPROTO_TCP, TCP_USER_TIMEOUT

from fastapi import Request

UNREAD = 10.0
"""Seconds without any reading, or any sign of the reader, after which the kernel closes the connection."""


def drop_if_unread(request: Request) -> None:
    """Close this request's connection where nobody reads its answer."""
    # Only uvicorn's request leads to its connection; behind another server, that one's own time holds.
    cycle = getattr(request.receive, "__self__", None)
    if transport := getattr(cycle, "transport", None):
        connection = transport.get_extra_info("socket")
        milliseconds = int(UNREAD * 1000)
        connection.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds)
