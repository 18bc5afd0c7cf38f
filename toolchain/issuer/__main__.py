"""Serve the issuer at 127.0.0.1, and nowhere else: whoever reaches it may be anybody.

`python -m toolchain.issuer --port 8180 --folder .local --client order=http://127.0.0.1:8001/signed-in`
"""

import argparse
from collections import defaultdict
from pathlib import Path

import uvicorn

from toolchain.issuer.app import HERE, make_app
from toolchain.issuer.tokens import AUDIENCE, Issuer


def main() -> None:
    """Serve with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8180)
    parser.add_argument("--folder", type=Path, default=Path(".local"))
    parser.add_argument("--audience", default=AUDIENCE)
    parser.add_argument("--client", action="append", default=[], type=_client)
    options = parser.parse_args()
    clients: dict[str, set[str]] = defaultdict(set)
    for name, address in options.client:
        clients[name].add(address)
    issuer = Issuer(
        f"http://{HERE}:{options.port}",
        options.folder,
        {name: frozenset(each) for name, each in clients.items()},
        options.audience,
    )
    app = make_app(issuer)
    uvicorn.run(app, host=HERE, port=options.port, log_level="warning")


def _client(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=")
    if not address.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("a client is name=redirect_uri")
    return name, address


if __name__ == "__main__":
    main()
