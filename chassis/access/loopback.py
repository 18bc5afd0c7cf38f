"""Without access control, nobody but this machine is served."""

import signal

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.access.access import Access
from chassis.errors import Rejected, problem
from chassis.runtime.loopback import is_loopback
from chassis.runtime.settings import refuse


class AccessControlOff(Rejected):
    """This service has no access control, so it serves this machine alone; set OIDC_ISSUER to serve others."""

    status = 403


class LoopbackOnly:
    """ASGI middleware that without access control serves what arrives on the loopback interface, and nothing else.

    It goes by the address at which the connection was accepted, whatever the server is and however it was started.
    """

    def __init__(self, app: ASGIApp, access: Access | None) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if self.access or scope["type"] == "lifespan" or is_local(scope):
            await self.app(scope, receive, send)
        else:
            await problem(AccessControlOff())(scope, receive, send)


def is_local(scope: Scope) -> bool:
    """Return whether a request arrived on the loopback interface, by a Unix socket, or within this process."""
    host, port = scope.get("server") or ("", None)
    return port is None or not host or is_loopback(host)


def check_address(access: Access | None) -> None:
    """End the process with a sentence where uvicorn is to listen beyond loopback without access control."""
    if access is not None:
        return
    # It binds its sockets only after the app has started. Its handler of signals knows what it was told, by its
    # command line, its environment or its caller.
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if not isinstance(server, uvicorn.Server) or server.config.uds is not None:
        return
    host = server.config.host
    if server.config.fd is None and not is_loopback(host):
        why = f"without it there is no access control, and the service would listen at {host}, beyond loopback"
        refuse("OIDC_ISSUER", why, "not set")
