"""Dead letters on the command line, through the service's API: list, show, replay and discard them.

python -m chassis.dead_letters SERVICE list|show|replay|discard (each explains itself with --help). A sidecar
on this machine (DAPR_HTTP_PORT, DAPR_API_TOKEN) passes it on to the service, wherever that runs.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from chassis.dapr import Sidecar, SidecarUnavailable
from chassis.inbox.dead_letter import State
from chassis.runtime import load
from chassis.runtime.rate_limit import STOPPED, at_rate, positive, stop_on_signal
from chassis.runtime.settings import SidecarSettings, reveal

PAGE = 50
"""Letters in one call: each may have 64 KiB."""

Options = argparse.Namespace
Json = dict[str, Any]


class Refused(Exception):
    """The service refuses, and says why."""


async def list_letters(options: Options, sidecar: Sidecar) -> int:
    """Print a line for each letter, newest first."""
    async for each in _letters(options, sidecar):
        line = (each["id"], each["state"], f"{each['attempts']}x", each["receivedAt"])
        authentic = () if each["authentic"] else ("not authentic",)
        say("  ".join(map(str, (*line, each["reaction"], *authentic, each["reason"]))))
    return os.EX_OK


async def show(options: Options, sidecar: Sidecar) -> int:
    """Print all of one letter, as JSON."""
    shown = await _ask(options, sidecar, f"/{options.id}")
    say(*json.dumps(shown, indent=2, ensure_ascii=False).split("\n"))
    return os.EX_OK


async def discard(options: Options, sidecar: Sidecar) -> int:
    """Discard one letter."""
    why = {"reason": options.because, "by": options.by}
    await _ask(options, sidecar, f"/{options.id}/discard", body=why)
    say(f"{options.id}: discarded")
    return os.EX_OK


async def replay(options: Options, sidecar: Sidecar) -> int:
    """Replay letters at a rate, past those that still fail; Ctrl-C ends it after the one in flight.

    Each is a request, and a transaction, of its own: whatever ends this, what is done is done.
    """
    outcomes: Counter[str] = Counter()
    with stop_on_signal() as stop:
        chosen = await _open(options, sidecar, outcomes) if options.all else options.ids
        try:
            async for letter in at_rate(chosen, options.rate, stop):
                outcome, detail = await _replay(options, sidecar, letter)
                outcomes[outcome] += 1
                say(f"{letter}: {outcome}{detail}")
        finally:
            counted = (f"{number} {outcome}" for outcome, number in outcomes.items())
            undone = " Everything was rolled back." if options.dry_run else ""
            say(f"{', '.join(counted) or 'Nothing to replay'}.{undone}")
    return STOPPED if stop.is_set() else int(outcomes["failed"] > 0)


async def _open(
    options: Options, sidecar: Sidecar, outcomes: Counter[str]
) -> list[int]:
    # All are found before the first is replayed: what fails meanwhile is for another time.
    found = [each async for each in _letters(options, sidecar)]
    if skipped := sum(not each["authentic"] for each in found):
        outcomes["skipped as not authentic"] = skipped
    return [each["id"] for each in reversed(found) if each["authentic"]]


async def _replay(options: Options, sidecar: Sidecar, letter: int) -> tuple[str, str]:
    query = {"dryRun": str(options.dry_run).lower()}
    try:
        done = await _ask(options, sidecar, f"/{letter}/replay", query, body={})
    except Refused as refused:
        return "failed", f": {refused}"
    return str(done["outcome"]), ""


async def _letters(options: Options, sidecar: Sidecar) -> AsyncIterator[Json]:
    query = {"limit": str(PAGE)}
    if options.state != "ALL":
        query["state"] = options.state
    if options.reaction:
        query["reaction"] = options.reaction
    cursor: str | None = ""
    while cursor is not None:
        page = await _ask(options, sidecar, "", query)
        for letter in page["items"]:
            yield letter
        cursor = query["cursor"] = page["next"]


async def _ask(
    options: Options,
    sidecar: Sidecar,
    path: str,
    query: Mapping[str, str] | None = None,
    body: Json | None = None,
) -> Json:
    # The sidecar may itself repeat what it passes on.
    key = {"idempotency-key": str(uuid4())}
    url = f"api/dead-letter{path}"
    answer = await sidecar.ask(
        options.service, url, query=query or {}, headers=key, body=body
    )
    document: Json = answer.json()
    if answer.status >= 500:
        raise SidecarUnavailable(document["detail"])
    if answer.status >= 400:
        raise Refused(document["detail"])
    return document


def say(*lines: str) -> None:
    """Print lines; what came from elsewhere moves no cursor, and colours nothing."""
    for line in lines:
        shown = (c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        sys.stdout.write(f"{''.join(shown)}\n")
    sys.stdout.flush()


def parse(arguments: Sequence[str]) -> Options:
    """Return the options of a command line, or end with status 2 and what is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m chassis.dead_letters")
    as_in_urls = partial(quote, safe="")
    parser.add_argument(
        "service", metavar="SERVICE", help="its app-id", type=as_in_urls
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("list", help="list them, newest first")
    states = [*State, "ALL"]
    verb.add_argument("--state", choices=states, default=State.OPEN, type=str.upper)
    verb.add_argument("--reaction", help="those of one reaction alone")
    verb.set_defaults(act=list_letters)
    verb = verbs.add_parser("show", help="show one as it came, with its trace")
    verb.add_argument("id", metavar="ID", type=int)
    verb.set_defaults(act=show)
    verb = verbs.add_parser("discard", help="decide that one stays unhandled")
    verb.add_argument("id", metavar="ID", type=int)
    verb.add_argument("--because", required=True, help="the reason, which is kept")
    verb.add_argument("--by", required=True, help="who decides it")
    verb.set_defaults(act=discard)
    _add_replay(verbs.add_parser("replay", help="run their reactions again"))
    options = parser.parse_args(arguments)
    if options.act is replay and bool(options.ids) == options.all:
        parser.error("name dead letters by their ids, or say --all")
    return options


def _add_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=int, nargs="*")
    which = "all that are open and authentic, oldest first"
    verb.add_argument("--all", action="store_true", help=which)
    verb.add_argument("--reaction", help="with --all: those of one reaction alone")
    rate = "letters a second: %(default)s"
    verb.add_argument("--rate", type=positive, default=10.0, help=rate)
    verb.add_argument("--dry-run", action="store_true", help="roll everything back")
    verb.set_defaults(act=replay, state=State.OPEN)


async def run(options: Options, sidecar: Sidecar) -> int:
    """Carry out a command through this sidecar; return the exit status."""
    try:
        return int(await options.act(options, sidecar))
    except (Refused, SidecarUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, Refused) else os.EX_TEMPFAIL


async def main(arguments: Sequence[str]) -> int:
    """Parse a command line and carry it out; return the exit status."""
    options, settings = parse(arguments), load(SidecarSettings)
    token = reveal(settings.dapr_api_token)
    async with Sidecar(settings.sidecar_url, token=token, deadline=30) as sidecar:
        return await run(options, sidecar)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
