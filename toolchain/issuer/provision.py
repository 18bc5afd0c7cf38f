"""The issuer of a secure run: how it is started, how services trust it, and who types a command."""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from toolchain import runfile
from toolchain.issuer import keys
from toolchain.issuer.people import PEOPLE
from toolchain.issuer.tokens import AUDIENCE, Issuer
from toolchain.machine import Machine, network
from toolchain.runfile import System
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer, Server

ANOTHER = "OIDC_ISSUER"
"""Where the environment names another issuer, none is started."""
OPERATOR = "olga"
DISCOVERY = b"GET /.well-known/openid-configuration HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"


def of(system: System) -> Issuer:
    """Return the issuer of this system; its keys are with the run's other secrets."""
    return Issuer(f"http://127.0.0.1:{system.port('issuer')}", system.secrets)


def trust(system: System) -> None:
    """Turn access control on for the services of a secure run, and sign people in on their pages."""
    if ANOTHER in os.environ:
        return
    for app_id, pages in pages_of(system).items():
        settings = {
            ANOTHER: of(system).url,
            "OIDC_AUDIENCE": AUDIENCE,
            "OIDC_CLIENT_ID": app_id,
            "PUBLIC_URL": pages,
        }
        app = system.app(app_id)
        app["env"] = {**app.get("env", {}), **settings}


def pages_of(system: System) -> dict[str, str]:
    """Return where a browser finds the pages of each service: at its own port, unless the run file says where."""
    return {
        app["appID"]: app.get("env", {}).get("PUBLIC_URL")
        or f"http://127.0.0.1:{app['appPort']}/"
        for app in system.document["apps"]
        if "appPort" in app
    }


def provide(
    machine: Machine, system: System
) -> AbstractContextManager[RunningServer | None]:
    """Run the issuer of a secure run."""
    if not system.secure or ANOTHER in machine.environment:
        return nullcontext()
    return server.running(server_in(system, pages_of(system)))


def server_in(system: System, pages: Mapping[str, str]) -> Server:
    """Return how the issuer is started; `pages` are the addresses of the services' pages, by app-id."""
    port = system.port("issuer")
    clients = (f"--client={app}={url}signed-in" for app, url in pages.items())
    module = (sys.executable, "-m", "toolchain.issuer")
    return Server(
        "issuer",
        (system.state / "issuer").absolute(),
        ((*module, f"--port={port}", f"--folder={system.secrets}", *clients),),
        {**os.environ, "PYTHONPATH": str(runfile.ROOT)},
        lambda: (network.ask(("127.0.0.1", port), DISCOVERY, size=12) or b"").endswith(
            b" 200"
        ),
        lambda: None,
    )


def as_caller(system: System) -> dict[str, str]:
    """Return the header of whoever types a command: with TOKEN, or else as the operator of a secure run."""
    token = os.environ.get("TOKEN")
    if not token and (system.secrets / keys.FILE).exists():
        token = of(system).access_token(OPERATOR, PEOPLE[OPERATOR].scopes)
    return {"authorization": f"Bearer {token}"} if token else {}
