"""Dead letters on the command line, through the service's API: one by one, or a group at a time.

python -m chassis.dead_letters SERVICE VERB (each verb explains itself with --help). A sidecar on this machine
(DAPR_HTTP_PORT, DAPR_API_TOKEN) passes it on to the service, wherever that runs.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from chassis.dapr import Sidecar, SidecarUnavailable
from chassis.inbox.dead_letter import State
from chassis.runtime import load
from chassis.runtime.rate_limit import STOPPED, at_rate, positive, stop_on_signal
from chassis.runtime.settings import CommandSettings, reveal
from chassis.text import escaped

PAGE = 50
"""Letters in one call: each may have 64 KiB."""
LOOK = 0.5
"""Seconds between two looks at a run."""

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


async def list_groups(options: Options, sidecar: Sidecar) -> int:
    """Print a line for each group: how many are open, since when, and why."""
    query = {"settled": str(options.settled).lower()}
    async for each in _pages(options, sidecar, "dead-letter-group", query):
        span = f"{each['firstAt']} to {each['lastAt']}"
        authentic = () if each["authentic"] else ("not authentic",)
        number = f"{each['open']:,} open"
        line = (each["fingerprint"], number, span, each["reaction"], *authentic)
        say("  ".join((*line, each["reason"])))
    return os.EX_OK


async def show(options: Options, sidecar: Sidecar) -> int:
    """Print all of one letter, as JSON."""
    shown = await _ask(options, sidecar, f"dead-letter/{options.id}")
    say(*json.dumps(shown, indent=2, ensure_ascii=False).split("\n"))
    return os.EX_OK


async def history(options: Options, sidecar: Sidecar) -> int:
    """Print a line for each thing that was done to a letter, newest first."""
    path = f"dead-letter/{options.id}/history"
    async for each in _pages(options, sidecar, path, {}):
        say(_done(each))
    return os.EX_OK


def _done(each: Json) -> str:
    edited = f"{each['before']} -> {each['after']}" if each["after"] else None
    more = filter(None, (each["outcome"], each["because"], edited))
    return "  ".join((each["at"], each["by"], each["act"], *more))


async def edit(options: Options, sidecar: Sidecar) -> int:
    """Edit the data that a letter is replayed with."""
    body = {"data": options.data, **_why(options)}
    await _ask(options, sidecar, f"dead-letter/{options.id}/edit", body=body)
    say(f"{options.id}: edited")
    return os.EX_OK


async def discard(options: Options, sidecar: Sidecar) -> int:
    """Discard one letter, or a group."""
    return await _settle(options, sidecar, "discard", "discarded")


async def restore(options: Options, sidecar: Sidecar) -> int:
    """Open a letter again that was discarded, or a group."""
    return await _settle(options, sidecar, "restore", "restored")


async def _settle(options: Options, sidecar: Sidecar, verb: str, done: str) -> int:
    if options.group:
        return await _run(options, sidecar, verb.upper())
    body = _why(options)
    await _ask(options, sidecar, f"dead-letter/{options.id}/{verb}", body=body)
    say(f"{options.id}: {done}")
    return os.EX_OK


async def canary(options: Options, sidecar: Sidecar) -> int:
    """Replay a group in growing steps, and print how far it is until it ends."""
    act = "DRY_RUN" if options.dry_run else "REPLAY"
    pace = {"rate": options.rate, "tolerate": options.tolerate}
    return await _run(options, sidecar, act, **pace)


async def _run(options: Options, sidecar: Sidecar, act: str, **pace: float) -> int:
    path = f"dead-letter-group/{options.group}/run"
    body = {"act": act, **_why(options), **pace}
    options.id = (await _ask(options, sidecar, path, body=body))["id"]
    return await watch(options, sidecar)


async def watch(options: Options, sidecar: Sidecar) -> int:
    """Print how far a run is until it ends; Ctrl-C ends the watching, and not the run."""
    before, path = "", f"dead-letter-run/{options.id}"
    with stop_on_signal() as stop:
        while not stop.is_set():
            found = await _ask(options, sidecar, path)
            if (line := _progress(found)) != before:
                say(line)
            if found["state"] != "RUNNING":
                return int(found["state"] != "DONE" or found["failures"] > 0)
            before = line
            await asyncio.wait([asyncio.create_task(stop.wait())], timeout=LOOK)
    say(f"Run {options.id} goes on without this command.")
    return STOPPED


def _progress(found: Json) -> str:
    where = f"step of {found['step']}" if found["step"] else "dry run before"
    where = where if found["act"] == "REPLAY" else found["act"].lower()
    numbers = f"{found['done']:,} done, {found['failures']:,} failed"
    ended = f": {found['endedWhy']}" if found["endedWhy"] else f" ({where})"
    return f"run {found['id']}  {found['state']}  {numbers}{ended}"


async def stop_run(options: Options, sidecar: Sidecar) -> int:
    """Stop a run after the letter in flight."""
    path = f"dead-letter-run/{options.id}/stop"
    say(_progress(await _ask(options, sidecar, path, body=_why(options))))
    return os.EX_OK


async def letters_of_run(options: Options, sidecar: Sidecar) -> int:
    """Print what became of each letter of a run, newest first."""
    path = f"dead-letter-run/{options.id}/letters"
    async for each in _pages(options, sidecar, path, {}):
        say(f"{each['letterId']}  {_done(each)}")
    return os.EX_OK


def _why(options: Options) -> Json:
    return {"reason": options.because, "by": options.by}


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
    body = {"by": options.by or "a dry run"}
    path = f"dead-letter/{letter}/replay"
    try:
        done = await _ask(options, sidecar, path, query, body=body)
    except Refused as refused:
        return "failed", f": {refused}"
    return str(done["outcome"]), ""


async def _letters(options: Options, sidecar: Sidecar) -> AsyncIterator[Json]:
    query = {"limit": str(PAGE)}
    if options.state != "ALL":
        query["state"] = options.state
    for name in ("reaction", "group"):
        if value := getattr(options, name):
            query[name] = value
    async for letter in _pages(options, sidecar, "dead-letter", query):
        yield letter


async def _pages(
    options: Options, sidecar: Sidecar, path: str, query: dict[str, str]
) -> AsyncIterator[Json]:
    cursor: str | None = ""
    while cursor is not None:
        page = await _ask(options, sidecar, path, query)
        for item in page["items"]:
            yield item
        cursor = query["cursor"] = page["next"]


async def _ask(
    options: Options,
    sidecar: Sidecar,
    path: str,
    query: Mapping[str, str] | None = None,
    body: Json | None = None,
) -> Json:
    # The sidecar may itself repeat what it passes on.
    headers = {"idempotency-key": str(uuid4()), **options.authorization}
    url = f"api/{path}"
    answer = await sidecar.ask(
        options.service, url, query=query or {}, headers=headers, body=body
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
    parser.set_defaults(authorization={})
    as_in_urls = partial(quote, safe="")
    parser.add_argument(
        "service", metavar="SERVICE", help="its app-id", type=as_in_urls
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_lists(verbs)
    _add_replay(verbs.add_parser("replay", help="run their reactions again"))
    _add_of_groups(verbs)
    options = parser.parse_args(arguments)
    if wrong := _wrong(options):
        parser.error(wrong)
    return options


def _wrong(options: Options) -> str:
    if options.act is replay and bool(options.ids) == options.all:
        return "name dead letters by their ids, or say --all"
    if options.act is replay and not (options.by or options.dry_run):
        return "say who replays them: --by NAME, or --dry-run"
    if options.act in {discard, restore} and bool(options.group) == bool(options.id):
        return "name a dead letter by its id, or a --group"
    return ""


Verbs = argparse._SubParsersAction


def _add_lists(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("list", help="list them, newest first")
    states = [*State, "ALL"]
    verb.add_argument("--state", choices=states, default=State.OPEN, type=str.upper)
    verb.add_argument("--reaction", help="those of one reaction alone")
    verb.add_argument("--group", help="those of one group alone, by its fingerprint")
    verb.set_defaults(act=list_letters)
    verb = verbs.add_parser("groups", help="list the groups, by reaction and reason")
    verb.add_argument("--settled", action="store_true", help="also what is settled")
    verb.set_defaults(act=list_groups)
    for name, act, what in (
        ("show", show, "show one as it came, with its trace"),
        ("history", history, "list what was done to one, by whom and why"),
    ):
        verb = verbs.add_parser(name, help=what)
        verb.add_argument("id", metavar="ID", type=int)
        verb.set_defaults(act=act)
    verb = verbs.add_parser("edit", help="edit the data that one is replayed with")
    verb.add_argument("id", metavar="ID", type=int)
    which = verb.add_mutually_exclusive_group(required=True)
    what = "a file with the event's data, as JSON"
    which.add_argument("--data", metavar="FILE", type=_json_in, help=what)
    which.add_argument("--revert", action="store_true", help="as it came")
    _add_why(verb, edit)


def _json_in(file: str) -> object:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", metavar="ID", type=int, nargs="*")
    which = "all that are open and authentic, oldest first"
    verb.add_argument("--all", action="store_true", help=which)
    verb.add_argument("--reaction", help="with --all: those of one reaction alone")
    verb.add_argument("--group", help="with --all: those of one group alone")
    rate = "letters a second: %(default)s"
    verb.add_argument("--rate", type=positive, default=10.0, help=rate)
    verb.add_argument("--dry-run", action="store_true", help="roll everything back")
    verb.add_argument("--by", help="who replays them, which is kept")
    verb.set_defaults(act=replay, state=State.OPEN)


def _add_of_groups(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    for name, act, what in (
        ("discard", discard, "decide that one, or a group, stays unhandled"),
        ("restore", restore, "open one, or a group, again that was discarded"),
    ):
        verb = verbs.add_parser(name, help=what)
        verb.add_argument("id", metavar="ID", type=int, nargs="?")
        verb.add_argument("--group", help="all of a group, by its fingerprint")
        _add_why(verb, act)
    verb = verbs.add_parser("canary", help="replay a group in growing steps")
    verb.add_argument("group", metavar="FINGERPRINT")
    verb.add_argument("--rate", type=positive, default=10.0, help="letters a second")
    tolerate = "per cent of a step that may fail; more halt it: %(default)s"
    verb.add_argument("--tolerate", type=int, default=10, help=tolerate)
    verb.add_argument("--dry-run", action="store_true", help="dry-run all, no more")
    _add_why(verb, canary)
    for name, act, what in (
        ("watch", watch, "print how far a run is until it ends"),
        ("letters", letters_of_run, "list what became of each letter of a run"),
        ("stop", stop_run, "stop a run"),
    ):
        verb = verbs.add_parser(name, help=what)
        verb.add_argument("id", metavar="RUN", type=int)
        if act is stop_run:
            _add_why(verb, act)
        verb.set_defaults(act=act)


def _add_why(verb: argparse.ArgumentParser, act: object) -> None:
    verb.add_argument("--because", required=True, help="the reason, which is kept")
    verb.add_argument("--by", required=True, help="who decides it")
    verb.set_defaults(act=act)


async def run(options: Options, sidecar: Sidecar) -> int:
    """Carry out a command through this sidecar; return the exit status."""
    try:
        return int(await options.act(options, sidecar))
    except (Refused, SidecarUnavailable) as error:
        sys.stderr.write(f"{escaped(str(error))}\n")
        return 1 if isinstance(error, Refused) else os.EX_TEMPFAIL


async def main(arguments: Sequence[str]) -> int:
    """Parse a command line and carry it out; return the exit status."""
    options, settings = parse(arguments), load(CommandSettings)
    if access_token := reveal(settings.token):
        options.authorization = {"authorization": f"Bearer {access_token}"}
    token = reveal(settings.dapr_api_token)
    async with Sidecar(settings.sidecar_url, token=token, deadline=30) as sidecar:
        return await run(options, sidecar)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
