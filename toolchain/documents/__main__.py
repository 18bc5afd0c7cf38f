"""Writes what is generated from the code, the event schemas and the API's documents: `make docs`."""

import sys

from toolchain.documents import publisher
from toolchain.machine import terminal
from toolchain.machine.failure import exit_status

if __name__ == "__main__":
    sys.exit(
        exit_status(lambda: terminal.done("docs", publisher.publish(publisher.ROOT)))
    )
