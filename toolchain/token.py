"""Print a token for somebody whom the issuer of `make run SECURE=yes` knows: TOKEN=$(make token AS=alice)."""

import argparse
import sys

from toolchain import run
from toolchain.issuer import provision
from toolchain.issuer.people import PEOPLE
from toolchain.machine.failure import EX_CONFIG, Failure


def main() -> None:
    """Print a token for the person of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("person", help=f"one of {', '.join(PEOPLE)}")
    parser.add_argument("--scopes", help="what it allows, instead of all they may do")
    options = parser.parse_args()
    sys.exit(run.alone(lambda: show(options.person, options.scopes)))


def show(subject: str, scopes: str | None) -> None:
    """Print the token; raises Failure where nobody is named so."""
    person = PEOPLE.get(subject)
    if person is None:
        raise Failure(
            f"AS={subject} is nobody whom the local issuer knows",
            f"It knows {', '.join(PEOPLE)}.",
            "This prints a token: make token AS=alice",
            EX_CONFIG,
        )
    allowed = person.scopes if scopes is None else scopes.split()
    print(provision.of(run.chosen()).access_token(subject, allowed))


if __name__ == "__main__":
    main()
