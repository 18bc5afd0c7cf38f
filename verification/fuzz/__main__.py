"""Send so many hostile events and requests: python -m verification.fuzz 100000 [--seed 1]."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verification.fuzz.run import run


def main() -> int:
    """Run what the command line asks for; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m verification.fuzz")
    parser.add_argument("number", nargs="?", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _quietly():
        result = asyncio.run(run(options.number, options.seed, Path(folder)))
    seconds = time.monotonic() - began
    counted = ", ".join(f"{name} {n:,}" for name, n in sorted(result.counted.items()))
    print(
        f"{options.number:,} cases of seed {options.seed} in {seconds:.0f} s: {counted}"
    )
    for each in result.findings:
        print(f"  {each}")
    return 1 if result.findings else 0


@contextmanager
def _quietly() -> Iterator[None]:
    # The notification service prints a line for each customer.
    terminal = os.dup(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(terminal, 1)
        os.close(terminal)


if __name__ == "__main__":
    sys.exit(main())
