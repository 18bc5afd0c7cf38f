"""Writes what is generated from the code, the event schemas and the API's documents: `make docs`."""

import sys

from toolchain import say
from toolchain.attempt import attempt
from toolchain.documents import publisher

if __name__ == "__main__":
    sys.exit(attempt(lambda: say.done("docs", publisher.publish(publisher.ROOT))))
