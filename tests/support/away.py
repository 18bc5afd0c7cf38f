"""Unavailable databases: servers that refuse in PostgreSQL's own words, and connections that end."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


@asynccontextmanager
async def refusing(sqlstate: str) -> AsyncIterator[str]:
    """Run a server that answers every client with this SQLSTATE; yield its URL."""
    fields = {b"S": "FATAL", b"V": "FATAL", b"C": sqlstate, b"M": "not now"}
    refusal = b"".join(k + v.encode() + b"\0" for k, v in fields.items()) + b"\0"

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        while (await _request(reader)) in {SSL_REQUEST, GSS_REQUEST}:
            writer.write(b"N")
        writer.write(b"E" + (len(refusal) + 4).to_bytes(4) + refusal)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://nobody@127.0.0.1:{port}/nothing"


async def _request(reader: StreamReader) -> int:
    length = int.from_bytes(await reader.readexactly(4))
    return int.from_bytes((await reader.readexactly(length - 4))[:4])


def terminated(session: Session) -> None:
    """Make the server end this session's connection, as when it is shut down."""
    session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def terminated_by_another(session: Session) -> None:
    """End this session's connection from another one, and wait until it has ended."""
    pid = session.scalar(text("SELECT pg_backend_pid()"))
    engine = create_engine(session.get_bind().engine.url)
    try:
        with engine.connect() as admin:
            admin.execute(text(f"SELECT pg_terminate_backend({pid:d}, 5000)"))
    finally:
        engine.dispose()
