"""docs/requests.http: every request of every service is in it, and is answered as it says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from tests.support.eventually import eventually
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

FILE = Path(__file__).parents[2] / "docs" / "requests.http"
REQUEST = re.compile(
    r"# (?P<status>\d{3})\n(?:# @name (?P<name>\w+)\n)?"
    r"(?P<method>[A-Z]+) \{\{(?P<service>\w+)\}\}(?P<path>\S+)\n"
    r"(?P<headers>(?:[\w-]+: .+\n)*)(?:\n(?P<body>\{.*\})\n)?"
)


@dataclass(frozen=True)
class Request:
    """One request of the file, and the status of its answer."""

    service: str
    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    status: int
    name: str | None


def requests() -> Iterator[Request]:
    """Yield the requests of the file."""
    for part in FILE.read_text().split("###")[1:]:
        found = REQUEST.search(part)
        assert found, f"this is no request as the others are:\n{part}"
        yield Request(
            found["service"],
            found["method"],
            found["path"],
            dict(line.split(": ", 1) for line in found["headers"].splitlines()),
            found["body"],
            int(found["status"]),
            found["name"],
        )


def test_every_operation_of_every_service_is_in_it(
    order: Service, notification: Service
) -> None:
    for name, service in {"order": order, "notification": notification}.items():
        described = {
            f"{method.upper()} {re.sub(r'{.*?}', '*', path)}"
            for path, item in service.app.openapi()["paths"].items()
            for method in item
        }

        listed = {
            f"{each.method} {_general(each.path)}"
            for each in requests()
            if each.service == name
        }

        assert listed == described


def _general(path: str) -> str:
    # With an asterisk for what is another order's, another letter's, or another group's.
    path = re.sub(
        r"\{\{.*?\}\}|[0-9a-f-]{36}|[0-9a-f]{16}", "*", path.partition("?")[0]
    )
    return re.sub(r"/\d+(?=/|$)", "/*", path)


async def test_each_is_answered_as_it_says(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    clients = {"order": order.http, "notification": notification.http}
    placed: dict[str, str] = {}

    for each in requests():
        path = each.path
        for name, order_id in placed.items():
            path = path.replace(f"{{{{{name}.response.body.orderId}}}}", order_id)
        await dapr.deliver_to(notification.app)

        async def answered(
            each: Request = each, path: str = path
        ) -> httpx.Response | None:
            key = str(uuid4())
            headers = {k: v.replace("{{$guid}}", key) for k, v in each.headers.items()}
            answer = await clients[each.service].request(
                each.method, path, content=each.body, headers=headers
            )
            return answer if answer.status_code == each.status else None

        answer = await eventually(
            answered, f"{each.method} {path} is answered with {each.status}", 10
        )
        if each.name:
            placed[each.name] = answer.json()["orderId"]


def test_every_post_carries_a_key() -> None:
    """The sidecar may repeat a request: without a key, an example could be carried out twice."""
    posts = [each for each in requests() if each.method == "POST"]

    assert posts
    assert {each.headers.get("Idempotency-Key") for each in posts} == {"{{$guid}}"}
