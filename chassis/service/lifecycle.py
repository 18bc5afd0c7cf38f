"""How a service starts, and how it ends where it cannot: with one line, and an exit status of its own."""

import asyncio
import logging
import os
import sqlite3
import sys

from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.database import migrate as migration

_log = logging.getLogger(__name__)

NOT_NOW = (DBAPIError, sqlite3.Error, OSError)
"""What is raised of a database that cannot be used; an address without a name or an answer is an OSError."""


async def migrate(service: str, url: str) -> None:
    """Bring the database to the newest migration; end the process where it cannot be used."""
    try:
        await asyncio.to_thread(migration.upgrade, service, url)
    except NOT_NOW as error:
        # Whoever keeps this process running starts it again; until then there is nothing to serve.
        _log.error("the database cannot be used: %s", str(error).split("\n")[0])
        _log.debug("it was this", exc_info=error)
        sys.exit(os.EX_TEMPFAIL)


class Start:
    """ASGI middleware: a service that ends itself while it starts does so with its own status, and quietly.

    Of a SystemExit in there, Starlette and uvicorn would make a traceback, and exit status 3.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; where the service ends itself, end the server's event loop."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, _Untold(send))
        except SystemExit as ended:
            # Raised from a callback it ends the loop as it is; the server is to hear of no end before that.
            asyncio.get_running_loop().call_soon(sys.exit, ended.code)
            await asyncio.Event().wait()


class _Untold:
    def __init__(self, send: Send) -> None:
        self.send = send

    async def __call__(self, message: Message) -> None:
        if not isinstance(sys.exception(), SystemExit):
            await self.send(message)
