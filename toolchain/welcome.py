"""What to open and to type in another terminal, once a system runs."""

import os

from toolchain import runfile
from toolchain.readiness import token_of
from toolchain.runfile import System
from toolchain.servers import gateway


def welcome(system: System) -> str:
    """Return what to open and what to type."""
    api = system.app("order")["appPort"]
    # Whichever broker carries them, the orders are placed in the same way: only other ports must be named.
    demo = f"make demo OFFSET={system.offset}" if system.offset else "make demo"
    desk = f"http://127.0.0.1:{api}"
    if system.gateway:
        desk = f"https://localhost:{system.port('gateway')}"
    return (
        f"\n  Everything runs. Open the order desk, {desk}\n"
        f"  or type in another terminal: {demo}, or\n"
        f"  {_curl(system)} -H 'content-type: application/json' "
        '-H "idempotency-key: $(cat /proc/sys/kernel/random/uuid)" '
        """-d '{"customerName":"Jane Doe"}'\n"""
        "  Ctrl-C stops all of it.\n"
    )


def _curl(system: System) -> str:
    command = _sent(system)
    if not system.secure:
        return command
    offset = f" OFFSET={system.offset}" if system.offset else ""
    return f'{command} -H "authorization: Bearer $(make token{offset})"'


def _sent(system: System) -> str:
    if system.gateway:
        certificate = os.path.relpath(gateway.certificate_of(system), runfile.ROOT)
        address = f"https://localhost:{system.port('gateway')}"
        return f"curl --cacert {certificate} {address}/api/order"
    has_token = token_of("DAPR", system.variables("order"))
    token = """ -H "dapr-api-token: $DAPR_API_TOKEN\"""" if has_token else ""
    secrets = os.path.relpath(system.secrets, runfile.ROOT)
    token_is_known = f". {secrets}/order.env && " if system.secure else ""
    port = system.app("order")["daprHTTPPort"]
    url = f"localhost:{port}/v1.0/invoke/order/method/api/order"
    return f"{token_is_known}curl {url}{token}"
