"""Print a token for somebody whom the issuer of `make run SECURE=yes` knows: TOKEN=$(make token AS=alice)."""

import argparse
import sys
from contextlib import redirect_stdout
from functools import partial
from typing import TextIO

from toolchain import run
from toolchain.issuer import keys, provision
from toolchain.issuer.people import PEOPLE
from toolchain.machine.failure import EX_CONFIG, Failure


def main() -> None:
    """Print a token for the person of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("person", help=f"one of {', '.join(PEOPLE)}")
    parser.add_argument("--scopes", help="what it allows, instead of all they may do")
    options = parser.parse_args()
    output = sys.stdout
    with redirect_stdout(sys.stderr):  # what fails is no token
        work = partial(show, options.person, options.scopes, output)
        sys.exit(run.alone(work))


def show(subject: str, scopes: str | None, output: TextIO) -> None:
    """Write the token; raises Failure where nobody is named so, or no issuer runs."""
    person = PEOPLE.get(subject)
    if person is None:
        raise Failure(
            f"AS={subject} is nobody whom the local issuer knows",
            f"It knows {', '.join(PEOPLE)}.",
            "This prints a token: make token AS=alice",
            EX_CONFIG,
        )
    system = run.chosen()
    if not (system.secrets / keys.FILE).exists():
        raise Failure(
            "No system runs here that the local issuer signs tokens for",
            f"Its keys would be in {system.secrets}.",
            "Start one, and keep its OFFSET: make run SECURE=yes",
        )
    allowed = person.scopes if scopes is None else scopes.split()
    print(provision.of(system).access_token(subject, allowed), file=output)


if __name__ == "__main__":
    main()
