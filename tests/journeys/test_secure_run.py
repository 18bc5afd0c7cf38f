"""`make run SECURE=yes`, attacked: who reaches a sidecar or an app comes in with its token alone, and not far."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import httpx
import pytest

from tests.support.eventually import within
from tests.support.part import Part
from tests.support.system import sidecar_command
from tests.support.terminal import CTRL_C, Terminal
from toolchain import runfile
from toolchain.issuer import provision
from toolchain.machine import secured
from toolchain.runfile import ROOT, System

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

APPS = ("order", "notification")
HIDES_ITS_CALLER = {"connection": "dapr-caller-app-id"}
"""daprd removes what this nominates, its own header too: to the app, the sidecar itself seems to call."""
PUBLISH = "publish/pubsub/OrderCreated"
OTHERS_DELIVERY = "invoke/notification/method/events/OrderCreated"
NO_SUCH_API, NOT_ALLOWED = 404, 403


class Attacked:
    """A secure run, and its callers."""

    def __init__(self, system: System, terminal: Terminal) -> None:
        self.system, self.terminal = system, terminal

    def token(self, app: str) -> dict[str, str]:
        """Return the header that a sidecar wants."""
        token = secured.tokens(self.system.secrets, app)["DAPR_API_TOKEN"]
        return {"dapr-api-token": token}

    def port(self, app: str, name: str) -> int:
        """Return one of an app's ports."""
        return int(self.system.app(app)[name])

    def calls(
        self, app: str, path: str, headers: Mapping[str, str], method: str = "POST"
    ) -> httpx.Response:
        """Call the API of an app's sidecar."""
        url = f"http://127.0.0.1:{self.port(app, 'daprHTTPPort')}/v1.0/{path}"
        body = None if method == "GET" else {"specversion": "1.0"}
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, url, headers=dict(headers), json=body)

    def types(self, *command: str, app: str) -> subprocess.CompletedProcess[str]:
        """Type a command where an app's tokens are exported."""
        settings = self.system.app(app)["env"]
        port = str(self.port(app, "daprHTTPPort"))
        own = {"OFFSET": str(self.system.offset), "DAPR_HTTP_PORT": port}
        environment = {**self.system.variables(app), **settings, **own}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def run() -> Iterator[Attacked]:
    """Type `make run SECURE=yes GATEWAY=yes`, and Ctrl-C at the end: nothing secret is left then."""
    system = runfile.with_gateway(runfile.load(runfile.free_offset()))
    typed = ["make", "--no-print-directory", "run", f"OFFSET={system.offset}"]
    with Terminal([*typed, "SECURE=yes", "GATEWAY=yes"], ROOT) as terminal:
        terminal.shows("Ctrl-C stops all of it", deadline=120)
        yield Attacked(system, terminal)
        terminal.types(CTRL_C)
        terminal.ends(deadline=60)
    assert not system.secrets.exists()
    shutil.rmtree(system.state)


def test_orders_are_notified_and_found_and_the_system_is_examined(
    run: Attacked,
) -> None:
    verbs = ("make", "--no-print-directory", f"OFFSET={run.system.offset}")
    demo = subprocess.run(
        [*verbs, "demo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    order = re.findall(r"Notification for Order ([0-9a-f-]{36})", demo.stdout)[0]

    where = run.types(*verbs, "where", f"ORDER={order}", app="order")
    doctor = run.types(*verbs, "doctor", app="order")

    assert where.returncode == 0, where.stdout
    assert "sidecar" not in where.stdout
    assert doctor.returncode == 0, doctor.stdout
    assert "sidecar-refuses" not in doctor.stdout
    who = (f"CUSTOMER={order}", "BY=Ada Lovelace", "REASON=Request 4711")
    erased = run.types(*verbs, "erase", *who, app="order")
    assert re.search("notification +1 orders erased", erased.stdout), erased.stderr


def test_a_command_works_with_the_tokens_of_the_service_that_it_is_for(
    run: Attacked,
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text().splitlines()
    command = next(each for each in page if each.startswith("set -a; "))
    port = str(run.port("notification", "daprHTTPPort"))
    here = command.replace(".local/", f"{run.system.state}/").replace("3501", port)

    # Called by a make, a make names its folder before what it prints.
    typed = f"unset MAKELEVEL MAKEFLAGS; export OFFSET={run.system.offset}; {here}"
    listed = subprocess.run(["sh", "-c", typed], cwd=ROOT, check=False)

    assert listed.returncode == 0


@pytest.mark.parametrize(
    ("caller", "other", "path"),
    [
        ("notification", "order", "internal/order"),
        ("notification", "order", "events"),
        ("order", "notification", "events"),
        ("order", "notification", "internal/notification"),
        ("order", "notification", f"internal/notification/{UUID(int=1)}"),
    ],
)
def test_what_a_service_asks_the_other_reaches_it(
    run: Attacked, caller: str, other: str, path: str
) -> None:
    """Some of it asks for a secret of its own."""
    path = f"invoke/{other}/method/{path}"

    answer = run.calls(caller, path, run.token(caller), "GET")

    reached = answer.status_code == 200 or answer.json()["type"].startswith("urn:")
    assert reached, answer.text


def test_each_part_has_tokens_of_its_own_that_nobody_else_can_read(
    run: Attacked,
) -> None:
    both = [secured.tokens(run.system.secrets, app) for app in APPS]
    tokens = {token for each in both for token in each.values()}
    assert len(tokens) == 4

    lines = [each.read_bytes() for each in Path("/proc").glob("[0-9]*/cmdline")]
    logs = [each.read_bytes() for each in ROOT.glob(".dapr/logs/*")]
    said = [*lines, *logs, run.terminal.shown.encode()]
    assert not [each for each in tokens if any(each.encode() in text for text in said)]


def test_nobody_else_can_read_a_file_of_the_run(run: Attacked) -> None:
    """Databases, caught mails, logs, keys: whatever lies there."""
    files = [runfile.LOCAL, run.system.state, *run.system.state.rglob("*")]

    open_to_others = [each for each in files if each.lstat().st_mode & 0o077]

    assert len(files) > 20
    assert open_to_others == [run.system.state / "dapr.yaml"]  # the fixture's own


@pytest.mark.parametrize(
    ("app", "method", "path"),
    [
        ("order", "POST", PUBLISH),
        ("order", "GET", "metadata"),
        ("order", "POST", "shutdown"),
        ("order", "GET", "invoke/order/method/api/order"),
        ("order", "GET", "invoke/order/method/dapr/subscribe"),
        ("order", "POST", OTHERS_DELIVERY),
        ("order", "GET", "invoke/http://127.0.0.1:9/method/x"),
        ("notification", "POST", "bindings/email"),
        ("notification", "POST", PUBLISH),
        ("notification", "POST", OTHERS_DELIVERY),
    ],
)
def test_a_sidecar_serves_nobody_without_its_token(
    run: Attacked, app: str, method: str, path: str
) -> None:
    other = next(each for each in APPS if each != app)
    for headers in ({}, {"dapr-api-token": "wrong"}, run.token(other)):
        answer = run.calls(app, path, {**headers, **HIDES_ITS_CALLER}, method)
        assert answer.status_code == 401, answer.text


@pytest.mark.parametrize(
    ("app", "path", "status"),
    [
        ("order", "shutdown", NO_SUCH_API),
        ("notification", "shutdown", NO_SUCH_API),
        ("order", "bindings/email", NO_SUCH_API),
        ("notification", PUBLISH, NO_SUCH_API),
        ("order", "state/store", NO_SUCH_API),
        ("order", "secrets/secrets/bulk", NO_SUCH_API),
        ("order", "publish/pubsub/notification-dead-letter", NOT_ALLOWED),
        ("order", "publish/pubsub-2/notification-dead-letter", NOT_ALLOWED),
    ],
)
def test_a_sidecar_does_for_its_app_what_the_app_needs_and_nothing_else(
    run: Attacked, app: str, path: str, status: int
) -> None:
    answer = run.calls(app, path, run.token(app))

    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("app", APPS)
def test_a_sidecar_does_nothing_over_grpc(run: Attacked, app: str) -> None:
    codes = []
    with grpc.insecure_channel(f"127.0.0.1:{run.port(app, 'daprGRPCPort')}") as it:
        for method, headers in (
            ("PublishEvent", run.token(app)),
            ("InvokeService", run.token(app)),
            ("GetMetadata", {}),
        ):
            call = it.unary_unary(f"/dapr.proto.runtime.v1.Dapr/{method}")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", metadata=[*headers.items()])
            codes.append(refused.value.code())

    no_such_api = grpc.StatusCode.UNIMPLEMENTED
    assert codes == [no_such_api, no_such_api, grpc.StatusCode.UNAUTHENTICATED]


@pytest.mark.parametrize(
    ("other", "method", "path"),
    [
        ("notification", "POST", "events/OrderCreated"),
        ("notification", "POST", "events%2FOrderCreated"),
        ("notification", "POST", "events/notification-dead-letter"),
        ("notification", "POST", "api/notification/..%2f..%2fevents/OrderCreated"),
        ("notification", "GET", "dapr/subscribe"),
        ("notification", "GET", "api/dead-letter"),
        ("notification", "POST", "api/notification/x/release"),
        ("notification", "GET", "operations"),
        ("order", "POST", "api/order"),
        ("order", "POST", "api/customer/export"),
    ],
)
def test_a_service_calls_of_another_only_what_it_needs(
    run: Attacked, other: str, method: str, path: str
) -> None:
    (caller,) = {*APPS} - {other}
    path = f"invoke/{other}/method/{path}"

    answer = run.calls(caller, path, {**run.token(caller), **HIDES_ITS_CALLER}, method)

    assert answer.status_code == NOT_ALLOWED, answer.text
    assert "access control policy has denied" in answer.text


def test_what_a_sidecar_sends_to_any_server_that_is_named_opens_no_other_app(
    run: Attacked,
) -> None:
    """Invoke by URL cannot be switched off: it sends its app's own token, which who may ask for it has already."""
    url = f"http://127.0.0.1:{run.port('notification', 'appPort')}"
    path = f"invoke/{url}/method/dapr/subscribe"

    answer = run.calls("order", path, {**run.token("order"), **HIDES_ITS_CALLER}, "GET")

    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:problem-type:not-the-sidecar"


def test_an_app_delivers_nothing_but_what_its_own_sidecar_sends(run: Attacked) -> None:
    url = f"http://127.0.0.1:{run.port('notification', 'appPort')}/events/OrderCreated"
    order = secured.tokens(run.system.secrets, "order")["APP_API_TOKEN"]

    for headers in ({}, {"dapr-api-token": order}, run.token("notification")):
        answer = httpx.post(url, json={}, headers=headers, trust_env=False)
        assert answer.status_code == 401


@pytest.fixture
def stranger(run: Attacked, tmp_path: Path) -> Iterator[Part]:
    """Make a sidecar of our own beside theirs, on other ports; it is not started yet."""
    ports = {name: runfile.free_port() for name in PORTS}
    app: dict[str, Any] = {**run.system.app("order"), **ports}
    command = sidecar_command(run.system, app)
    command = [each for each in command if not each.startswith("--resources-path")]
    variables = dict(run.system.variables("stranger"))
    part = Part(command, variables, tmp_path / "stranger.log")
    yield part
    part.kill_for_good()


PORTS = (*runfile.APP_PORTS, "daprGRPCPort")


def test_a_sidecar_without_a_certificate_reaches_nobody(
    run: Attacked, stranger: Part
) -> None:
    port = stranger.command[stranger.command.index("--dapr-http-port") + 1]
    stranger.command[stranger.command.index("--app-id") + 1] = "stranger"
    stranger.start()
    url = f"http://127.0.0.1:{port}/v1.0"

    def runs() -> bool:
        try:
            answer = httpx.get(f"{url}/healthz/outbound", trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code < 300

    within(60, runs, "the stranger runs")
    for app in APPS:
        path = f"{url}/invoke/{app}/method/readyz"
        answer = httpx.get(path, trust_env=False, timeout=60)
        assert answer.status_code == 500, answer.text


def test_sentry_certifies_no_app_by_the_name_of_another(
    run: Attacked, stranger: Part, tmp_path: Path
) -> None:
    stolen = tmp_path / "secure"
    shutil.copytree(run.system.secrets, stolen)
    shutil.copy(stolen / "notification.jwt", stolen / "order.jwt")
    stranger.environment |= {
        secured.FOLDER: str(stolen),
        secured.SENTRY: f"127.0.0.1:{run.system.port('sentry')}",
    }
    stranger.start()

    within(60, lambda: "token validation failed" in stranger.said(), "it is refused")


def test_customers_order_through_the_gateway_and_see_their_orders_once_signed_in(
    run: Attacked,
) -> None:
    certificate = run.system.state / "gateway" / "certificate.pem"
    tls = ssl.create_default_context(cafile=certificate)
    base = f"https://localhost:{run.system.port('gateway')}"
    token = provision.of(run.system).access_token("alice", ["orders:write"])

    with httpx.Client(verify=tls, trust_env=False, base_url=base, timeout=60) as client:
        order = {"customerName": "Jane Doe"}
        refused = client.post("/api/order", json=order)
        caller = {"authorization": f"Bearer {token}"}
        placed = client.post("/api/order", json=order, headers=caller)
        desk = signed_in(client, "/", "alice")
        letters = signed_in(client, "/notifications/dead-letters", "olga")
        names = {each.name for each in client.cookies.jar}

    assert (refused.status_code, placed.status_code) == (401, 201)
    assert placed.json()["orderId"] in desk.text
    assert str(letters.url) == f"{base}/notifications/dead-letters"
    assert "Signed in as <bdi>Olga Weber</bdi>" in letters.text
    assert names == {"__Host-order-session", "__Host-notification-session"}


def signed_in(client: httpx.Client, page: str, person: str) -> httpx.Response:
    """Open a page, sign in as this person at the issuer, and return what is shown then."""
    asked = client.get(page, follow_redirects=True)
    there = asked.url.copy_with(query=None)
    fields = {**dict(asked.url.params), "as": person}
    return client.post(there, data=fields, follow_redirects=True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("invoke/order/method/events", NOT_ALLOWED),
        (OTHERS_DELIVERY, NOT_ALLOWED),
        (PUBLISH, NO_SUCH_API),
        ("shutdown", NO_SUCH_API),
        ("metadata", NO_SUCH_API),
    ],
)
def test_the_gateways_sidecar_invokes_what_is_public_and_does_nothing_else(
    path: str, status: int, run: Attacked
) -> None:
    assert run.calls("gateway", path, {}).status_code == 401
    assert run.calls("gateway", path, run.token("gateway")).status_code == status
