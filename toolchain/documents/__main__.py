"""Writes what is generated from the code, the event schemas and the API's documents: `make docs`."""

import sys

from toolchain.documents import publisher
from toolchain.machine import say
from toolchain.machine.failure import exit_status

if __name__ == "__main__":
    sys.exit(exit_status(lambda: say.done("docs", publisher.publish(publisher.ROOT))))
