"""Print where an order is, and if it is stuck, why and what to do: python -m toolchain.where ORDER_ID."""

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from chassis.text import escaped
from toolchain import readiness, run
from toolchain.issuer import provision
from toolchain.machine import terminal
from toolchain.machine.failure import Failure
from toolchain.runfile import System

PATIENCE = 7.0
"""Seconds that the order service has to answer: it waits for four itself."""
USAGE = 2


def main() -> None:
    """Print where the order is that the command line names, and end: 0 where its customer was notified."""
    try:
        order_id = UUID("".join(sys.argv[1:]))
    except ValueError:
        remedy = "Type: make where ORDER=<orderId>"
        terminal.failed("This is no order's id", "It is a UUID.", remedy)
        sys.exit(USAGE)
    try:
        sys.exit(where(order_id, run.chosen()))
    except Failure as failure:
        terminal.failed(failure.what, failure.why, failure.remedy)
        sys.exit(USAGE)


def where(order_id: UUID, system: System) -> int:
    """Print an order's journey through the system that runs; return the exit status."""
    found = _ask(f"api/order/{order_id}/journey", system)
    if found.get("status") == 404:
        terminal.failed(found["title"], found["detail"], "Is it of another OFFSET?")
        return USAGE
    if found.get("status") in {401, 403}:
        remedy = 'Set TOKEN to an access token: make token SCOPES="orders:read"'
        terminal.failed(found["title"], found["detail"], remedy)
        return os.EX_NOPERM
    if "stages" in found:
        _print(found)
    else:
        why = found.get("detail", "Neither through its sidecar nor itself.")
        remedy = "Is `make run` running, and with this OFFSET?"
        terminal.failed("The order service does not answer", why, remedy)
    if found.get("done"):
        return 0
    for part, said in _unwell(system):
        terminal.warning(part, said)
    return 1 if "stages" in found else os.EX_UNAVAILABLE


def _ask(path: str, system: System) -> dict[str, Any]:
    """Return the journey, or the service's problem, or nothing."""
    # Past a sidecar that is down, the service itself can still say so.
    direct = f"http://127.0.0.1:{system.app('order')['appPort']}"
    for base in (system.invoke_url("order"), direct):
        answer = _get(f"{base}/{path}", PATIENCE, system)
        with suppress(ValueError):
            found = answer.json() if answer else {}
            # daprd's own errors, and whatever else may listen there, have neither.
            if "stages" in found or "title" in found:
                return dict(found)
    return {}


def _get(url: str, patience: float, system: System) -> httpx.Response | None:
    token = readiness.token_of("DAPR", system.variables("order"))
    with suppress(httpx.HTTPError), httpx.Client(trust_env=False) as client:
        headers = {**token, **provision.as_caller(system)}
        return client.get(url, headers=headers, timeout=patience)
    return None


def _print(journey: dict[str, Any]) -> None:
    before: datetime | None = None
    for stage in journey["stages"]:
        at = stage["at"] and datetime.fromisoformat(stage["at"])
        show = terminal.done if stage["reached"] else terminal.busy
        show(stage["name"], _line(stage, at, before))
        before = at or before
    then = f"Next: {journey['next']}."
    for text in map(escaped, (journey["why"], then)):
        terminal.plainly(
            textwrap.indent(textwrap.fill(text, 76, break_long_words=False), "  ")
        )


def _line(stage: dict[str, Any], at: datetime | None, before: datetime | None) -> str:
    if at is None:
        return "at an unknown time" if stage["reached"] else "not yet"
    taken = f"  {_duration((at - before).total_seconds()):>11}" if before else ""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC{taken}"


def _duration(seconds: float) -> str:
    # What was published may have arrived before the broker's answer did.
    return f"{seconds * 1000:+,.0f} ms" if abs(seconds) < 10 else f"{seconds:+,.1f} s"


def _unwell(system: System) -> Iterator[tuple[str, str]]:
    """Yield each app and sidecar that does not answer well, and what it says."""
    for app in (system.app("order"), system.app("notification")):
        for part, port, path in (
            ("app", app["appPort"], "/healthz"),
            ("sidecar", app["daprHTTPPort"], "/v1.0/healthz"),
        ):
            url = f"http://127.0.0.1:{port}{path}"
            answer = _get(url, 1.0, system)
            if answer is None or not answer.is_success:
                said = f"answers {answer.status_code}" if answer else "does not answer"
                yield f"{app['appID']} {part}", f"{said} at {url}"


if __name__ == "__main__":
    main()
