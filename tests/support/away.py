"""Databases that are away: servers that refuse in PostgreSQL's own words, and connections that end."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import Database

SSL_REQUEST = 80877103


@asynccontextmanager
async def refusing(sqlstate: str) -> AsyncIterator[str]:
    """Run a server that answers every client with this SQLSTATE; give its URL."""
    fields = {b"S": "FATAL", b"V": "FATAL", b"C": sqlstate, b"M": "not now"}
    said = b"".join(k + v.encode() + b"\0" for k, v in fields.items()) + b"\0"

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        while (await _request(reader)) == SSL_REQUEST:
            writer.write(b"N")
        writer.write(b"E" + (len(said) + 4).to_bytes(4) + said)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql+asyncpg://nobody@127.0.0.1:{port}/nothing"


async def _request(reader: StreamReader) -> int:
    length = int.from_bytes(await reader.readexactly(4))
    return int.from_bytes((await reader.readexactly(length - 4))[:4])


async def terminated(session: AsyncSession) -> None:
    """Let the server end this session's connection, as when it is shut down."""
    await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def terminated_by(other: Database, session: AsyncSession) -> None:
    """Let somebody else end this session's connection, and wait until it has ended."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    async with other.write() as admin:
        await admin.execute(text(f"SELECT pg_terminate_backend({pid:d}, 5000)"))
