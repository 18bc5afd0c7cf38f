"""Dead letters on the command line, through the service's API: list, show, replay and discard them.

python -m chassis.dead_letters SERVICE list|show|replay|discard (each explains itself with --help). A sidecar
on this machine (DAPR_HTTP_PORT, DAPR_API_TOKEN) passes it on to the service, wherever that runs.
"""

import argparse
import asyncio
import getpass
import json
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from chassis.dead_letters.replay import LARGEST_ID, StillFails
from chassis.inbox.dead_letter import State
from chassis.runtime import load
from chassis.runtime.rate_limit import STOPPED, at_rate, stop_on_signal
from chassis.runtime.settings import reveal

PAGE = 50
"""Letters in one call: each may have 64 KiB."""
MAX_RATE = 1000.0
HANDLED, BEFORE = "handled", "was handled before"
FAILS, NOT_TRIED, SKIPPED = "still fails", "not tried", "not authentic"

Options = argparse.Namespace
Json = dict[str, Any]
T = TypeVar("T")


class Settings(BaseSettings):
    """Where a sidecar is, and the token that it wants, as Dapr names them."""

    dapr_http_port: int = Field(3500, ge=1, le=65535)
    dapr_api_token: SecretStr | None = None


class Unreachable(Exception):
    """The service does not answer, or is in trouble: the same may be asked again."""


class Refused(Exception):
    """The service refuses, and says why."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem["detail"])
        self.still_fails = problem["type"] == StillFails.type()


async def list_letters(options: Options, http: httpx.AsyncClient) -> int:
    """Print a line for each letter."""
    left = options.limit
    async for each in _letters(http, options, oldest_first=False):
        authentic = () if each["authentic"] else ("not authentic",)
        line = (each["id"], each["state"], f"{each['attempts']}x", each["receivedAt"])
        say("  ".join(map(str, (*line, each["reaction"], *authentic, each["reason"]))))
        left -= 1
        if not left:
            break
    return os.EX_OK


async def show(options: Options, http: httpx.AsyncClient) -> int:
    """Print all of one letter, as JSON."""
    shown = await _ask(http, "GET", f"/{options.ids[0]}")
    say(*json.dumps(shown, indent=2, ensure_ascii=False).split("\n"))
    return os.EX_OK


async def discard(options: Options, http: httpx.AsyncClient) -> int:
    """Discard each letter."""
    status, why = os.EX_OK, {"reason": options.because, "by": options.by}
    for each in options.ids:
        try:
            await _ask(http, "POST", f"/{each}/discard", json=why)
            say(f"{each}: discarded")
        except Refused as refused:
            say(f"{each}: not discarded: {refused}")
            status = 1
    return status


async def replay(options: Options, http: httpx.AsyncClient) -> int:
    """Replay each letter at a rate, past those that still fail; Ctrl-C ends it after the one in flight.

    Each is a request, and a transaction, of its own: whatever ends this, what is done is done.
    """
    outcomes: Counter[str] = Counter()
    with stop_on_signal() as stop:
        try:
            chosen = _chosen(options, http, outcomes)
            async for letter in at_rate(chosen, options.rate, stop):
                outcome, detail = await _replay(options, http, letter)
                outcomes[outcome] += 1
                say(f"{letter}: {outcome}{detail}")
        finally:
            _summarise(options, outcomes)
    if stop.is_set():
        return STOPPED
    return 1 if outcomes[FAILS] or outcomes[NOT_TRIED] else os.EX_OK


async def _replay(
    options: Options, http: httpx.AsyncClient, letter: int
) -> tuple[str, str]:
    query = {"dryRun": str(options.dry_run).lower()}
    try:
        done = await _ask(http, "POST", f"/{letter}/replay", params=query)
    except Refused as refused:
        return FAILS if refused.still_fails else NOT_TRIED, f": {refused}"
    return str(done["outcome"]), ""


async def _chosen(
    options: Options, http: httpx.AsyncClient, outcomes: Counter[str]
) -> AsyncIterator[int]:
    for letter in options.ids:
        yield letter
    if not options.all:
        return
    # Up to the newest that is there now: what fails meanwhile is for another time.
    newest = (await _ask(http, "GET", "", params={"limit": 1}))["items"]
    last = newest[0]["id"] if newest else 0
    async for each in _letters(http, options, oldest_first=True):
        if each["id"] > last:
            return
        if each["authentic"]:
            yield each["id"]
        else:
            outcomes[SKIPPED] += 1


def _summarise(options: Options, outcomes: Counter[str]) -> None:
    named = (HANDLED, BEFORE, FAILS, NOT_TRIED)
    text = ", ".join(f"{outcomes[each]} {each}" for each in named)
    if outcomes[SKIPPED]:
        text += f"; skipped {outcomes[SKIPPED]} {SKIPPED}, to be replayed by their ids"
    say(f"{text}.{' Everything was rolled back.' if options.dry_run else ''}")


async def _letters(
    http: httpx.AsyncClient, options: Options, *, oldest_first: bool
) -> AsyncIterator[Json]:
    given = {"state": options.state, "reaction": options.reaction}
    query: Json = {k: v for k, v in given.items() if v not in {None, "ALL"}}
    query |= {"limit": PAGE, "oldestFirst": str(oldest_first).lower()}
    while True:
        page = await _ask(http, "GET", "", params=query)
        for letter in page["items"]:
            yield letter
        if page["next"] is None:
            return
        query["cursor"] = page["next"]


async def _ask(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    **given: Any,  # noqa: ANN401 - httpx's
) -> Json:
    # The sidecar may itself repeat what it passes on.
    headers = {"idempotency-key": str(uuid4())} if method == "POST" else {}
    url = f"/api/dead-letter{path}"
    try:
        answer = await http.request(method, url, headers=headers, **given)
    except httpx.HTTPError as error:
        where = http.base_url.netloc.decode()
        text = f"Nothing answers at {where} ({type(error).__name__})."
        raise Unreachable(text) from error
    return _body(answer)


def _body(answer: httpx.Response) -> Json:
    # A sidecar may answer 200 for a service that is dead: only with its body it counts.
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and answer.status_code == 200:
        return body
    if not isinstance(body, dict) or not {"type", "detail"} <= body.keys():
        raise Unreachable(f"The answer was {answer.status_code} {answer.text[:300]}")
    if answer.status_code >= 500:
        raise Unreachable(body["detail"])
    raise Refused(body)


def say(*lines: str) -> None:
    """Print lines; what came from elsewhere moves no cursor, and colours nothing."""
    for line in lines:
        shown = (c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        sys.stdout.write(f"{''.join(shown)}\n")
    sys.stdout.flush()


def parse(arguments: Sequence[str]) -> Options:
    """Return the options of a command line, or end with status 2 and what is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m chassis.dead_letters")
    parser.add_argument("service", metavar="SERVICE", help="its app-id", type=_app_id)
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="list|show|replay|discard"
    )
    _add_list(verbs.add_parser("list", help="list them, newest first"))
    one = verbs.add_parser("show", help="show one as it came, with its trace")
    one.add_argument("ids", metavar="ID", type=_number, nargs=1)
    _add_replay(verbs.add_parser("replay", help="run their reactions again"))
    _add_discard(verbs.add_parser("discard", help="decide that they stay unhandled"))
    options = parser.parse_args(arguments)
    if options.verb == "replay":
        if bool(options.ids) == options.all:
            parser.error("name dead letters by their ids, or say --all")
        if options.reaction and not options.all:
            parser.error("--reaction chooses among --all")
    return options


def _add_list(verb: argparse.ArgumentParser) -> None:
    states = [*State, "ALL"]
    verb.add_argument("--state", choices=states, default=State.OPEN, type=str.upper)
    verb.add_argument("--reaction", help="those of one reaction alone")
    verb.add_argument("--limit", type=_number, default=50, help="at most: %(default)s")


def _add_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=_number, nargs="*")
    which = "all that are open and authentic, oldest first"
    verb.add_argument("--all", action="store_true", help=which)
    verb.add_argument("--reaction", help="with --all: those of one reaction alone")
    rate = "letters a second: %(default)s"
    verb.add_argument("--rate", type=_rate, default=10.0, help=rate)
    verb.add_argument("--dry-run", action="store_true", help="roll everything back")
    verb.set_defaults(state=State.OPEN)


def _add_discard(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=_number, nargs="+")
    verb.add_argument("--because", required=True, help="the reason, which is kept")
    who = None
    with suppress(KeyError, OSError):  # a container's user may have no name
        who = getpass.getuser()
    by = "who decides it: %(default)s"
    verb.add_argument("--by", default=who, required=who is None, help=by)


def _checked(
    kind: Callable[[str], T], accepts: Callable[[T], object], what: str
) -> Callable[[str], T]:
    def read(given: str) -> T:
        with suppress(ValueError):
            if accepts(value := kind(given)):
                return value
        raise argparse.ArgumentTypeError(f"{given!r} is no {what}")

    return read


_app_id = _checked(str, re.compile(r"[\w-]+", re.ASCII).fullmatch, "app-id")
_number = _checked(int, lambda number: 0 < number <= LARGEST_ID, "number from 1 on")
_rate = _checked(float, lambda rate: 0 < rate <= MAX_RATE, f"rate up to {MAX_RATE:.0f}")

VERBS = {"list": list_letters, "show": show, "replay": replay, "discard": discard}


async def run(options: Options, http: httpx.AsyncClient) -> int:
    """Carry out a command at the service to which `http` leads; return the exit status."""
    try:
        return await VERBS[options.verb](options, http)
    except (Refused, Unreachable) as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, Refused) else os.EX_TEMPFAIL


async def main(arguments: Sequence[str]) -> int:
    """Parse a command line and carry it out; return the exit status."""
    options = parse(arguments)
    settings = load(Settings)
    token = reveal(settings.dapr_api_token)
    address = f"http://127.0.0.1:{settings.dapr_http_port}"
    async with httpx.AsyncClient(
        base_url=f"{address}/v1.0/invoke/{options.service}/method",
        headers={"dapr-api-token": token} if token else {},
        timeout=30,
        trust_env=False,
    ) as http:
        return await run(options, http)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
