"""Export or erase what both services keep of a customer: python -m toolchain.customer export|erase WHO.

WHO is an e-mail address or an order's id. An erasure ends when the notification service has followed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx

from toolchain import readiness, run
from toolchain.issuer import provision
from toolchain.machine import terminal
from toolchain.machine.failure import Failure
from toolchain.runfile import System

PATIENCE = 60.0
"""Seconds that the notification service has to follow."""
Json = dict[str, Any]


def main() -> None:
    """Do what the command line says, and end: 0 where it is done."""
    options = parse(sys.argv[1:])
    try:
        system = run.chosen()
        headers = provision.as_caller(system)
        with httpx.Client(timeout=30, trust_env=False, headers=headers) as client:
            caller = Caller(client, system)
            act = erase if options.verb == "erase" else export
            act(caller, options)
    except (Failure, httpx.HTTPError) as error:
        failure = error if isinstance(error, Failure) else _no_answer(error)
        terminal.failed(failure.what, failure.why, failure.remedy)
        sys.exit(os.EX_UNAVAILABLE)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line; end the process if it is not valid."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.customer")
    parser.add_argument("verb", choices=("export", "erase"))
    parser.add_argument("who", help="an e-mail address, or an order's id")
    parser.add_argument("--by", default="", help="who erases it")
    parser.add_argument("--reason", default="", help="why: the number of a request")
    options = parser.parse_args(arguments)
    who = options.by or os.environ.get("TOKEN")
    if options.verb == "erase" and not (who and options.reason):
        parser.error("an erasure needs BY, or a TOKEN, and REASON")
    return options


class Caller:
    """Asks each service through its sidecar."""

    def __init__(self, client: httpx.Client, system: System) -> None:
        self._client, self._system = client, system

    def post(self, service: str, path: str, body: Json) -> Json:
        """Return the answer to a request; raises Failure where it is none."""
        # Through its own sidecar: of another service, the order service's may ask what that needs alone.
        port = self._system.app(service)["daprHTTPPort"]
        url = (
            f"http://127.0.0.1:{port}/v1.0/invoke/{service}/method/api/customer/{path}"
        )
        token = readiness.token_of("DAPR", self._system.variables(service))
        headers = {"idempotency-key": str(uuid4()), **token}
        answer = self._client.post(url, json=body, headers=headers)
        if answer.status_code != 200 or not answer.content:
            what = f"The {service} service answered {answer.status_code}"
            raise Failure(what, answer.text, "Nothing more was done; repeat it.")
        return dict(answer.json())


def export(caller: Caller, options: argparse.Namespace) -> None:
    """Print all that is kept as JSON, one line for each order."""
    for each in _exported(caller, _customer(options.who)):
        ids = {"orderIds": [each["order"]["orderId"]], "eventIds": _event_ids(each)}
        there = caller.post("notification", "export", ids)
        sys.stdout.write(f"{json.dumps({**each, **there}, ensure_ascii=False)}\n")


def erase(caller: Caller, options: argparse.Namespace) -> None:
    """Erase a customer's orders, some at a time, until both services have."""
    by = {"by": options.by} if options.by else {}  # a token says it otherwise
    command = {**_customer(options.who), **by, "reason": options.reason}
    orders: list[str] = []
    more = True
    while more:
        erased = caller.post("order", "erase", command)
        orders += erased["orderIds"]
        more = erased["more"]
    terminal.done("order", f"{len(orders):,} orders erased")
    deadline = time.monotonic() + PATIENCE
    while left := _left(caller, orders):
        if time.monotonic() > deadline:
            why = f"{left:,} orders are not erased there after {PATIENCE:.0f} s."
            remedy = "Does it run? It follows when it does; repeat this to see it."
            raise Failure("The notification service has not followed", why, remedy)
        time.sleep(0.2)
    terminal.done("notification", f"{len(orders):,} orders erased")


def _left(caller: Caller, orders: Sequence[str]) -> int:
    left = 0
    for start in range(0, len(orders), 200):
        ids = {"orderIds": [*orders[start : start + 200]]}
        told = caller.post("notification", "export", ids)["notifications"]
        erased = {each["orderId"] for each in told if each["erasedAt"]}
        left += len({*ids["orderIds"]} - erased)
    return left


def _exported(caller: Caller, customer: Json) -> Iterator[Json]:
    cursor: Json | None = {}
    while cursor is not None:
        page = caller.post("order", "export", {**customer, **cursor})
        yield from page["items"]
        cursor = {"cursor": page["next"]} if page["next"] else None


def _event_ids(exported: Json) -> list[str]:
    return [exported["event"]["id"]] if exported["event"] else []


def _customer(who: str) -> Json:
    try:
        return {"orderId": str(UUID(who))}
    except ValueError:
        return {"customerEmail": who}


def _no_answer(error: Exception) -> Failure:
    remedy = "Is `make run` running, and with this OFFSET?"
    return Failure("The services do not answer", type(error).__name__, remedy)


if __name__ == "__main__":
    main()
