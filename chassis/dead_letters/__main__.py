"""Dead letters on the command line: look at them, try them again, discard them, through the service's API.

python -m chassis.dead_letters SERVICE list|show|replay|discard (each tells more with --help). A sidecar on
this machine (DAPR_HTTP_PORT, DAPR_API_TOKEN) passes it on to the service, wherever that is.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from chassis.dead_letters.client import DeadLetters, NotHeard, Refused
from chassis.dead_letters.options import Options, read
from chassis.dead_letters.replay import StillFails
from chassis.inbox.dead_letter import State
from chassis.runtime.rate_limit import STOPPED, at_a_rate, interrupted
from chassis.runtime.settings import load

TAKEN, BEFORE, FAILS, NOT = (
    *("taken in", "was taken in before"),  # as the API says it
    *("still fails", "not tried"),
)


class Settings(BaseSettings):
    """Where a sidecar is, and the token that it wants, as Dapr names them."""

    dapr_http_port: int = Field(3500, ge=1, le=65535)
    dapr_api_token: SecretStr | None = None


async def list_them(options: Options, letters: DeadLetters) -> int:
    """Say one line of each."""
    state = None if options.state == "ALL" else State(options.state)
    left = options.limit
    async for each in letters.each(state, options.reaction, oldest_first=False):
        line = (
            each.id,
            each.state,
            f"{each.attempts}x",
            each.receivedAt,
            each.reaction,
        )
        say("  ".join([*map(str, line), each.reason]))
        left -= 1
        if not left:
            break
    return os.EX_OK


async def show(options: Options, letters: DeadLetters) -> int:
    """Say all of one, as JSON."""
    shown = await letters.show(options.ids[0])
    say(*json.dumps(shown.model_dump(), indent=2, ensure_ascii=False).split("\n"))
    return os.EX_OK


async def discard(options: Options, letters: DeadLetters) -> int:
    """Discard each, and say so."""
    status = os.EX_OK
    for each in options.ids:
        try:
            await letters.discard(each, because=options.because, by=options.by)
            say(f"{each}: discarded")
        except Refused as refused:
            say(f"{each}: not discarded: {refused}")
            status = 1
    return status


async def replay(options: Options, letters: DeadLetters) -> int:
    """Try each again, so many a second, and go on past those that still fail; Ctrl-C ends it after the next.

    Each is a request, and a transaction, of its own: whatever ends this, what is done is done.
    """
    came: Counter[str] = Counter()
    with interrupted() as stop:
        try:
            chosen = _chosen(options, letters)
            async for letter in at_a_rate(chosen, options.rate, stop):
                outcome, detail = await _tried(letters, letter, dry_run=options.dry_run)
                came[outcome] += 1
                say(f"{letter}: {outcome}{detail}")
        finally:
            say(_summary(came, dry_run=options.dry_run))
    if stop.is_set():
        return STOPPED
    return os.EX_OK if came.keys() <= {TAKEN, BEFORE} else 1


async def _tried(
    letters: DeadLetters, letter: int, *, dry_run: bool
) -> tuple[str, str]:
    try:
        return await letters.replay(letter, dry_run=dry_run), ""
    except Refused as refused:
        still = refused.problem == StillFails.type()
        return FAILS if still else NOT, f": {refused}"


async def _chosen(options: Options, letters: DeadLetters) -> AsyncIterator[int]:
    for letter in options.ids:
        yield letter
    if not options.all:
        return
    # Up to the newest that is there now: what fails meanwhile is for another time.
    newest = 0
    async for each in letters.each(State.OPEN, options.reaction, oldest_first=False):
        newest = each.id
        break
    async for each in letters.each(State.OPEN, options.reaction, oldest_first=True):
        if each.id > newest:
            return
        yield each.id


def _summary(came: Counter[str], *, dry_run: bool) -> str:
    what = ", ".join(f"{came[each]} {each}" for each in (TAKEN, BEFORE, FAILS, NOT))
    return f"{what}.{' Nothing of it was kept.' if dry_run else ''}"


VERBS = {"list": list_them, "show": show, "replay": replay, "discard": discard}


def say(*lines: str) -> None:
    """Write lines; what came from elsewhere moves no cursor, and colours nothing."""
    for line in lines:
        shown = (c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        sys.stdout.write(f"{''.join(shown)}\n")
    sys.stdout.flush()


async def carry_out(options: Options, http: httpx.AsyncClient) -> int:
    """Do what is asked, at the service to which `http` leads; give the exit status."""
    try:
        return int(await VERBS[options.verb](options, DeadLetters(http)))
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except NotHeard as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_TEMPFAIL


async def main(arguments: Sequence[str]) -> int:
    """Read the command line, and do what it says; give the exit status."""
    options = read(arguments)
    settings = load(Settings)
    token = settings.dapr_api_token
    headers = {"dapr-api-token": token.get_secret_value()} if token else {}
    url = f"http://127.0.0.1:{settings.dapr_http_port}/v1.0/invoke/{options.service}/method"
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=30, trust_env=False
    ) as http:
        return await carry_out(options, http)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
