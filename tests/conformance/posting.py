"""Both kinds of sidecar with a mail API behind their binding."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import yaml

from chassis.dapr.sidecar import Sidecar, SidecarUnavailable
from tests.conformance.real_stage import Server
from tests.conformance.stage import DEADLINE, EMAIL, NOTIFICATION, SHORT, Overheard
from tests.support.carried import Carried
from tests.support.eventually import eventually
from tests.support.mail_api import PATH, MailApi, serving_api
from tests.support.part import Part
from tests.support.simulated_dapr import SimulatedDapr, Wire
from toolchain import runfile
from toolchain.runfile import ROOT

MAILS = ROOT / "components" / "mail"


@dataclass
class PostingStage:
    """A sidecar with a mail API; `api_stopped` stops that API for a while."""

    sidecar: Sidecar
    wire: Overheard
    api_stopped: Callable[[], AbstractAsyncContextManager[None]]
    api: MailApi = field(default_factory=MailApi)
    daprd: Part | None = None
    components: Path = Path()

    async def post(self, to: str, key: str, text: str = "<p>Hello</p>") -> None:
        """Post a mail."""
        mail = {"from": "shop@example.org", "to": to, "subject": "An order"}
        headers = {"Idempotency-Key": key}
        await self.sidecar.post(EMAIL, {**mail, "html": text}, headers)

    async def swap(self, mail: str) -> None:
        """Put the other component's file in its place, and wait until daprd has noticed."""
        given = (MAILS / mail / "email.yaml").read_text()
        (self.components / "email.yaml").write_text(given)
        kind: str = yaml.safe_load(given)["spec"]["type"]

        async def is_loaded() -> bool:
            return await self.kind() == kind

        await eventually(is_loaded, f"it has {kind}")

    async def kind(self) -> str | None:
        """Return the kind of binding that the sidecar has, if it has one."""
        loaded = await self.sidecar.metadata()
        listed = loaded.get("components") or []
        return next((each["type"] for each in listed if each["name"] == EMAIL), None)


def a_key() -> str:
    """Return a key that nobody else has."""
    return f"order-created/{uuid4()}"


@asynccontextmanager
async def simulated_posting() -> AsyncIterator[PostingStage]:
    """Make a simulated sidecar with a mail API."""
    dapr, api = SimulatedDapr(), MailApi()
    dapr.apis[EMAIL] = api

    @asynccontextmanager
    async def stopped() -> AsyncIterator[None]:
        dapr.away.add(EMAIL)
        yield
        dapr.away.clear()

    heard = Overheard()
    wire = heard.over(Carried(Wire(dapr)))
    async with Sidecar("http://sidecar", send_deadline=SHORT, wire=wire) as sidecar:
        yield PostingStage(sidecar, heard, stopped, api)


@asynccontextmanager
async def real_posting(folder: Path) -> AsyncIterator[PostingStage]:
    """Run daprd with the project's own component and a mail API, without any broker."""
    system = runfile.load(runfile.free_offset(), folder, mail="api")
    api = MailApi()
    server = Server(lambda: serving_api(api, system.port("mail page")))
    http_port: int = system.app(NOTIFICATION)["daprHTTPPort"]
    heard = Overheard()
    url = f"http://127.0.0.1:{http_port}"
    async with AsyncExitStack() as running:
        sidecar = Sidecar(url, send_deadline=DEADLINE, wire=heard.over_http(url))
        await running.enter_async_context(sidecar)
        components = folder / "components"
        shutil.copytree(MAILS / "api", components)
        shutil.copy(MAILS.parent / "secrets.yaml", components)
        command = _command(http_port, components)
        daprd = Part(command, _environment(system), folder / "daprd.log")
        stage = PostingStage(sidecar, heard, server.stopped, api, daprd, components)
        running.push_async_callback(server.stop)
        server.start()
        running.push_async_callback(asyncio.to_thread, daprd.stop)
        daprd.start()
        await _is_ready(stage)
        yield stage


def _environment(system: runfile.System) -> dict[str, str]:
    assert system.addresses()["MAIL_API_URL"].endswith(PATH)
    authorization = {"MAIL_API_AUTHORIZATION": "Bearer hush-hush"}
    return {**os.environ, **system.addresses(), **authorization}  # noqa: TID251 - handed on


def _command(http_port: int, components: Path) -> list[str]:
    options = {
        "app-id": NOTIFICATION,
        "dapr-http-port": http_port,
        "dapr-grpc-port": http_port + 50,
        "dapr-internal-grpc-port": http_port + 10,
        "metrics-port": http_port + 60,
        "dapr-listen-addresses": "127.0.0.1",
        "placement-host-address": " ",
        "scheduler-host-address": " ",
        "resources-path": components,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [str(ROOT / "toolchain/.dapr/bin/daprd"), *flags]


async def _is_ready(stage: PostingStage) -> None:
    async def has_its_binding() -> bool:
        try:
            return await stage.kind() is not None
        except SidecarUnavailable:
            return False

    assert stage.daprd
    await eventually(has_its_binding, f"it has its binding; see {stage.daprd.log}")
