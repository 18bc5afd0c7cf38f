"""How a service starts, and how it ends where it cannot: with one sentence, and an exit status of its own."""

import asyncio
import logging
import os
import sys

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.database import is_unavailable
from chassis.database import migrate as migrations
from chassis.parts import Parts
from chassis.runtime.settings import EX_CONFIG

_log = logging.getLogger(__name__)


async def migrate(parts: Parts) -> None:
    """Bring the database to the newest migration of the service and of the chassis.

    Ends the process with status 75 where the database is unavailable: whoever supervises it starts it again;
    and with status 78 where starting again will not help.
    """
    try:
        url = parts.database.url
        await asyncio.to_thread(migrations.upgrade, parts.name, url, parts.migrations)
    except migrations.WrongDatabase as error:
        _end(EX_CONFIG, str(error), error)
    except (SQLAlchemyError, OSError) as error:
        text = str(error).split("\n")[0]
        if is_unavailable(error) or isinstance(error, OSError):
            _end(os.EX_TEMPFAIL, f"the database is unavailable: {text}", error)
        remedy = "check DATABASE_URL and the role's rights"
        _end(EX_CONFIG, f"the database cannot be used ({remedy}): {text}", error)


def _end(status: int, text: str, error: Exception) -> None:
    _log.error(text)
    _log.debug("caused by", exc_info=error)
    sys.exit(status)


class ExitQuietly:
    """ASGI middleware: a service that ends itself while it starts does so with its own exit status.

    From a SystemExit in there, Starlette and uvicorn would make a traceback, and exit status 3.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; where the service ends itself, end the server's event loop."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def unless_exiting(message: Message) -> None:
            if not isinstance(sys.exception(), SystemExit):
                await send(message)

        try:
            await self.app(scope, receive, unless_exiting)
        except SystemExit as ended:
            # Raised from a callback it ends the loop as it is; the server must hear of no end before that.
            asyncio.get_running_loop().call_soon(sys.exit, ended.code)
            await asyncio.Event().wait()
