"""The way to the sidecar: on this machine, whatever the environment says of the world outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.dapr import Entry, OutcomeUnknown, Sidecar, SidecarUnavailable
from chassis.dapr.wire import LARGEST_ANSWER, Answer, Call
from chassis.runtime import ServiceSettings
from chassis.service import make_parts
from toolchain.runfile import free_port

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"


@pytest.fixture
async def asked() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server on the sidecar's behalf; yield its port, and the heads of the requests it answers."""
    heads: list[bytes] = []

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heads


async def test_no_redirect_is_followed_with_the_sidecars_token() -> None:
    async def redirect(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{free_port()}/x"
        writer.write(f"{head}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        writer.close()

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Sidecar(url, token="secret") as sidecar:
            with pytest.raises(SidecarUnavailable, match="answered 307"):
                await sidecar.metadata()


async def test_no_proxy_is_used_on_the_way_to_the_sidecar(
    monkeypatch: pytest.MonkeyPatch, asked: tuple[int, list[bytes]]
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    async with Sidecar(f"http://127.0.0.1:{asked[0]}") as sidecar:
        assert await sidecar.metadata() == {}


async def test_a_service_sends_the_token_that_its_sidecar_wants(
    tmp_path: Path, asked: tuple[int, list[bytes]]
) -> None:
    port, heads = asked
    settings = ServiceSettings(
        database_url=f"sqlite:///{tmp_path}/x.db",
        dapr_http_port=port,
        dapr_api_token=SecretStr("the-sidecars-token"),
        secrets_folder=tmp_path,
    )
    parts = make_parts("order", settings, tmp_path)

    async with parts.sidecar:
        await parts.sidecar.metadata()
    await parts.database.close()

    assert b"\r\ndapr-api-token: the-sidecars-token\r\n" in heads[0]


class Recorder:
    """A wire that records calls, and answers each with an empty document."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def carry(self, call: Call) -> Answer:
        """Record a call."""
        self.calls.append(call)
        return Answer(204 if call.method == "POST" else 200, b"{}")

    async def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("token", [None, "the-sidecars-token"])
async def test_the_sidecars_token_is_sent_with_every_call(token: str | None) -> None:
    recorder = Recorder()

    async with Sidecar("http://sidecar", token=token, wire=recorder) as sidecar:
        await sidecar.metadata()
        await sidecar.ask("order", "events", query={"topic": "x"}, headers={"a": "b"})
        await sidecar.publish("pubsub", "OrderCreated", [Entry("1", "{}")])
        await sidecar.invoke("email", {"operation": "create"})
        with pytest.raises(OutcomeUnknown):  # the endpoint's own status is missing
            await sidecar.post("email", {}, {})

    sent = [each.headers.get("dapr-api-token") for each in recorder.calls]
    assert sent == [token] * 5


class Older(Recorder):
    """A daprd before 1.17: for it, the stable path leads to a component named `bulk`."""

    async def carry(self, call: Call) -> Answer:
        """Record a call, and know bulk by its path as an alpha alone."""
        await super().carry(call)
        if call.path.startswith("/v1.0/publish/"):
            return Answer(404, b'{"message": "pubsub bulk is not found"}')
        return Answer(204, b"")


async def test_a_sidecar_that_knows_bulk_as_an_alpha_is_published_to_by_that_path() -> (
    None
):
    older = Older()

    async with Sidecar("http://sidecar", wire=older) as sidecar:
        for _ in range(2):
            assert not await sidecar.publish("pubsub", "Topic", [Entry("1", "{}")])

    stable, *alpha = [each.path for each in older.calls]
    assert stable == "/v1.0/publish/bulk/pubsub/Topic"
    assert alpha == ["/v1.0-alpha1/publish/bulk/pubsub/Topic"] * 2


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """Run a server that accepts a connection and answers nothing; yield its URL."""
    ends = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ends.wait()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ends.set()


async def test_a_sidecar_that_does_not_answer_in_time_is_unavailable(
    silent: str,
) -> None:
    async with Sidecar(silent, deadline=0.05) as sidecar:
        with pytest.raises(SidecarUnavailable, match="does not answer"):
            await sidecar.metadata()


async def test_a_sidecar_that_does_not_run_is_unavailable() -> None:
    async with Sidecar(f"http://127.0.0.1:{free_port()}") as sidecar:
        with pytest.raises(SidecarUnavailable, match="no connection"):
            await sidecar.metadata()


async def test_an_answer_without_end_is_not_read_to_it() -> None:
    """As a mail server's, which the sidecar passes on; whether the mail was sent, nobody knows."""
    sent = 0

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Failed\r\nconnection: close\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 10 * LARGEST_ANSWER:
                writer.write(b"x" * 2**16)
                await writer.drain()
                sent += 2**16
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Sidecar(url, send_deadline=60) as sidecar:
            with pytest.raises(OutcomeUnknown, match=f"{LARGEST_ANSWER} bytes"):
                await sidecar.invoke("email", {})

    assert sent < 2 * LARGEST_ANSWER
