"""Place three orders through Dapr invoke and follow each until its customer is notified."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from chassis.text import escaped
from toolchain import readiness, run
from toolchain.issuer import provision
from toolchain.machine import ports, terminal, this_machine
from toolchain.machine.failure import Failure
from toolchain.runfile import System
from toolchain.supervise.locks import is_held

ORDERS = (
    {"customerName": "Jane Doe"},
    {"customerName": "Ada Lovelace", "customerEmail": "ada@example.org"},
    {"customerName": "Nguyễn Thị Minh"},
)
"""The orders: a customer with an address is notified by mail, and every notification is printed too."""
STARTS_WITHIN = 180.0
"""Seconds that a system which starts, or still ends, is waited for."""
PATIENCE = 60.0
"""Seconds that a notification may take before the demo fails."""


@dataclass(frozen=True)
class Followed:
    """An order that shows its notification, and when it was accepted, notified and shown, in milliseconds."""

    line: str
    times: tuple[float, ...]


def main() -> None:
    """Follow three orders through the system that runs, or through one for the demo's time."""
    sys.exit(run.alone(demonstrate))


def demonstrate() -> None:
    """Place the orders, print the notifications and a summary."""
    system = run.chosen()
    log = system.state / "demo.log"
    with nullcontext() if is_up(system) else run.running(this_machine(), system, log):
        token = readiness.token_of("DAPR", system.variables("order"))
        try:
            headers = {**token, **provision.as_caller(system)}
            with httpx.Client(timeout=30, trust_env=False, headers=headers) as client:
                followed = [follow(client, system, order) for order in ORDERS]
        except httpx.HTTPError as error:
            raise _failure("The system stopped answering", str(error)) from error
        terminal.plainly("\n" + "\n".join(escaped(each.line) for each in followed))
        terminal.plainly(summary(followed))


def is_up(system: System, patience: float = STARTS_WITHIN) -> bool:
    """Return whether a system runs at these ports, once it serves; raises Failure where it does not."""
    url, is_told = f"{system.invoke_url('order')}/healthz", False
    deadline = time.monotonic() + patience
    while (status := readiness.status(url, system.variables("order"))) != 200:
        if not status and not is_held(system.lock):
            return False
        if 0 < status < 500 or time.monotonic() > deadline:
            raise _does_not_serve(system, url, status)
        if not is_told:
            terminal.busy("system", "it starts or ends just now: waiting for it")
            is_told = True
        time.sleep(0.2)
    while is_told and not _are_ready(system) and time.monotonic() < deadline:
        time.sleep(0.2)
    return True


def _are_ready(system: System) -> bool:
    """Return whether all services are: what is ordered before takes the pull's seconds, and no milliseconds."""
    apps = (each["appID"] for each in system.document["apps"] if "appPort" in each)
    environment = system.variables("order")
    urls = (f"{system.invoke_url(each)}/readyz" for each in apps)
    return all(readiness.answers(url, environment) for url in urls)


def _does_not_serve(system: System, url: str, status: int) -> Failure:
    listens = ports.holder(system.app("order")["daprHTTPPort"])
    why = f"{url} answers {status}; {listens}, listens there."
    silent = f"A `make run` is at work, and nothing answers at {url}."
    return _failure("What runs here does not serve orders", why if status else silent)


def follow(client: httpx.Client, system: System, order: dict[str, str]) -> Followed:
    """Place one order and wait until its notification is sent, and shown on the order."""
    started, key = time.monotonic(), {"idempotency-key": str(uuid4())}
    orders = f"{system.invoke_url('order')}/api/order"
    answer = client.post(orders, json=order, headers=key)
    # Dapr may answer 2xx for an app that is not there: only the expected status with its body counts.
    if answer.status_code != 201 or "orderId" not in answer.json():
        raise _failure(
            "An order was not accepted",
            f"It was answered {answer.status_code}: {answer.text}",
        )
    times = [time.monotonic()]
    order_id = answer.json()["orderId"]
    notification = f"{system.invoke_url('notification')}/api/notification/{order_id}"
    sent = _wait_until(client, notification, lambda it: it["state"] == "SENT")
    times.append(time.monotonic())
    shown = f"{orders}/{order_id}"
    _wait_until(client, shown, lambda it: it["notification"]["state"] == "SENT")
    times.append(time.monotonic())
    after = tuple(1000 * (each - started) for each in times)
    return Followed(str(sent["text"]), after)


def _wait_until(
    client: httpx.Client, url: str, is_there: Callable[[Any], bool]
) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    answer = client.get(url)
    while not (
        answer.status_code == 200 and answer.content and is_there(answer.json())
    ):
        if time.monotonic() > deadline:
            raise _failure(
                "A notification was not sent, or is not shown",
                f"After {PATIENCE:.0f} s the answer of {url} is: {answer.text}",
            )
        time.sleep(0.005)
        answer = client.get(url)
    return dict(answer.json())


def _failure(what: str, why: str) -> Failure:
    return Failure(
        what,
        why,
        "Look at what `make run` prints, and at the sidecars' logs in .dapr/logs.",
    )


def summary(followed: list[Followed]) -> str:
    """Return in two lines how long it took."""
    accepted, notified, shown = (
        ", ".join(f"{time:.0f}" for time in times)
        for times in zip(*(each.times for each in followed), strict=True)
    )
    return (
        f"\n  {len(followed)} orders accepted through Dapr after {accepted} ms"
        f"\n  {len(followed)} customers notified            after {notified} ms; "
        f"the orders show it after {shown} ms"
    )


if __name__ == "__main__":
    main()
