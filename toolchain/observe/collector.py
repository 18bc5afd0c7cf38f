"""Receive traces in a container, and hand them to Zipkin: python -m toolchain.observe.collector <host> <viewer>.

deploy/compose runs it on a service's image, which has this folder and nothing else of the tool chain.
"""

import sys
import threading

from toolchain.observe import otlp, zipkin

PORT = 4318


def main(host: str, viewer: str) -> None:
    """Receive until the container ends."""
    with otlp.receiving(PORT, lambda body: zipkin.send(otlp.parse(body), viewer), host):
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
