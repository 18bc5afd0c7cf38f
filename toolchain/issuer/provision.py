"""How the issuer of a system is started, and the settings by which a service trusts it."""

import os
import sys
from collections.abc import Mapping

from toolchain import runfile
from toolchain.issuer.tokens import AUDIENCE, Issuer
from toolchain.machine import network
from toolchain.runfile import System
from toolchain.supervise.server import Server

DISCOVERY = b"GET /.well-known/openid-configuration HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"


def of(system: System) -> Issuer:
    """Return the issuer of this system; its keys are with the system's other secrets."""
    return Issuer(f"http://127.0.0.1:{system.port('issuer')}", system.state)


def server_in(system: System, pages: Mapping[str, str]) -> Server:
    """Return how the issuer is started; `pages` are the addresses of the services' pages, by app-id."""
    port, folder = system.port("issuer"), system.state.absolute()
    clients = (f"--client={app}={url}signed-in" for app, url in pages.items())
    module = (sys.executable, "-m", "toolchain.issuer")
    return Server(
        "issuer",
        folder / "issuer",
        ((*module, f"--port={port}", f"--folder={folder}", *clients),),
        {**os.environ, "PYTHONPATH": str(runfile.ROOT)},
        lambda: (network.ask(("127.0.0.1", port), DISCOVERY, size=12) or b"").endswith(
            b" 200"
        ),
        lambda: None,
    )


def settings(system: System, app_id: str, pages: str) -> dict[str, str]:
    """Return the environment of a service that trusts this issuer; `pages` is where a browser finds its pages."""
    return {
        "OIDC_ISSUER": of(system).url,
        "OIDC_AUDIENCE": AUDIENCE,
        "OIDC_CLIENT_ID": app_id,
        "PUBLIC_URL": pages,
    }
