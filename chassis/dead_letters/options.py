"""What the command line of dead letters can be told (chassis/dead_letters.py), and what is wrong with it."""

import argparse
import getpass
from collections.abc import Sequence
from contextlib import suppress

from chassis.dead_letters.replay import LAST
from chassis.inbox.dead_letter import State

FASTEST = 1000.0
"""Letters a second that can be asked for."""

Options = argparse.Namespace


def read(arguments: Sequence[str]) -> Options:
    """Read the command line; where something is wrong with it, say so and end with status 2."""
    whole = _parser()
    options = whole.parse_args(arguments)
    if options.verb == "replay":
        if bool(options.ids) == options.all:
            whole.error("name dead letters by their ids, or say --all")
        if options.reaction and not options.all:
            whole.error("--reaction chooses among --all")
    return options


def _parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m chassis.dead_letters")
    whole.add_argument("service", metavar="SERVICE", help="its app-id", type=_app_id)
    verbs = whole.add_subparsers(required=True, metavar="list|show|replay|discard")
    _list(verbs.add_parser("list", help="list them, newest first"))
    _show(verbs.add_parser("show", help="show one as it came, with its trace"))
    _replay(verbs.add_parser("replay", help="try them again"))
    _discard(verbs.add_parser("discard", help="decide that they are never taken in"))
    return whole


def _list(verb: argparse.ArgumentParser) -> None:
    states = [*State, "ALL"]
    verb.add_argument("--state", choices=states, default=State.OPEN, type=str.upper)
    verb.add_argument("--reaction", help="those of one reaction alone")
    verb.add_argument("--limit", type=_number, default=50, help="at most: %(default)s")
    verb.set_defaults(verb="list")


def _show(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=_number, nargs=1)
    verb.set_defaults(verb="show")


def _replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=_number, nargs="*")
    verb.add_argument(
        "--all", action="store_true", help="all that are open, oldest first"
    )
    verb.add_argument("--reaction", help="with --all: those of one reaction alone")
    verb.add_argument(
        "--rate", type=_rate, default=10.0, help="letters a second: %(default)s"
    )
    verb.add_argument("--dry-run", action="store_true", help="keep nothing of it")
    verb.set_defaults(verb="replay")


def _discard(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=_number, nargs="+")
    verb.add_argument("--because", required=True, help="the reason, which is kept")
    who = _who()
    by = "who decides it: %(default)s"
    verb.add_argument("--by", default=who, required=who is None, help=by)
    verb.set_defaults(verb="discard")


def _app_id(given: str) -> str:
    if not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
        raise argparse.ArgumentTypeError(f"{given!r} is no app-id")
    return given


def _number(given: str) -> int:
    if not given.isascii() or not given.isdigit() or not 0 < int(given[:20]) <= LAST:
        raise argparse.ArgumentTypeError(f"{given!r} is no number from 1 on")
    return int(given)


def _rate(given: str) -> float:
    with suppress(ValueError):
        if 0 < float(given) <= FASTEST:
            return float(given)
    said = f"{given!r} is no number of letters a second, {FASTEST:.0f} at most"
    raise argparse.ArgumentTypeError(said)


def _who() -> str | None:
    # A container's user may have no name.
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return None
