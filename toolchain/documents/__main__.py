"""Writes what is generated from the code, the event schemas and the API's documents: `make docs`."""

import sys

from toolchain.documents import publisher
from toolchain.machine import say
from toolchain.machine.attempt import attempt

if __name__ == "__main__":
    sys.exit(attempt(lambda: say.done("docs", publisher.publish(publisher.ROOT))))
