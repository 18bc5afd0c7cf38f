"""The issuer's keys: fetched in the background, kept while it is away, and asked for at most so often."""

import asyncio
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from chassis.access import Access, CodeFlow, IssuerUnavailable, Unauthenticated
from chassis.access import Issuer as IssuerOfTokens
from chassis.access import issuer as issuer_module
from chassis.access.access import fetching
from chassis.runtime import clock
from tests.support.eventually import eventually
from tests.support.issuer import AUDIENCE, Issuer, issuing, signing_key
from tests.support.serving import serving

DISCOVERY, KEYS = issuer_module.DISCOVERY, "/keys"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Run an issuer."""
    with issuing() as running:
        yield running


@pytest.fixture
def access(issuer: Issuer) -> Access:
    """Return the access control of a service that accepts the issuer's tokens."""
    return Access(IssuerOfTokens(issuer.url), AUDIENCE)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what moves the monotonic clock on."""
    begin, moved = clock.monotonic, [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: begin() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


async def is_refused(access: Access, token: str) -> bool:
    """Return whether a token is refused."""
    try:
        await access.prove(token)
    except Unauthenticated:
        return True
    return False


async def test_the_keys_are_fetched_once_for_many_who_wait(
    access: Access, issuer: Issuer
) -> None:
    tokens = [issuer.token(subject=f"jane {number}") for number in range(20)]

    await asyncio.gather(*(access.prove(each) for each in tokens))

    assert issuer.asked.count(KEYS) == 1


async def test_a_new_key_counts_as_soon_as_it_signs(
    access: Access, issuer: Issuer, later: Callable[[float], None]
) -> None:
    await access.prove(issuer.token())
    new = signing_key("ES256")
    issuer.keys.append(new)
    later(issuer_module.AT_MOST_EVERY)

    assert (await access.prove(issuer.token(key=new))).subject


async def test_unknown_keys_make_it_ask_once_in_a_while(
    access: Access, issuer: Issuer, later: Callable[[float], None]
) -> None:
    await access.prove(issuer.token())
    for number in range(50):
        forged = issuer.token(header={"kid": f"unknown {number}"})
        assert await is_refused(access, forged)

    assert issuer.asked.count(KEYS) == 1
    later(issuer_module.AT_MOST_EVERY)
    assert await is_refused(access, issuer.token(header={"kid": "another"}))
    assert issuer.asked.count(KEYS) == 2


async def test_a_key_that_is_withdrawn_proves_nothing_any_more(
    access: Access, issuer: Issuer, later: Callable[[float], None]
) -> None:
    token = issuer.token()
    await access.prove(token)
    issuer.keys[:] = [signing_key("ES256")]

    later(issuer_module.FRESH)
    assert not await is_refused(access, token), "it is known until the keys are there"

    async def is_withdrawn() -> bool:
        return await is_refused(access, token)

    await eventually(is_withdrawn, "the key is withdrawn", deadline=60)


async def test_known_keys_stay_in_use_while_the_issuer_is_away(
    access: Access, issuer: Issuer, later: Callable[[float], None]
) -> None:
    await access.prove(issuer.token())
    issuer.status = 503
    later(issuer_module.FRESH * 10)

    with pytest.raises(IssuerUnavailable):
        await access.prove(issuer.token(header={"kid": "unknown"}))
    assert (await access.prove(issuer.token(subject="john"))).subject

    issuer.status = 200
    later(issuer_module.AT_MOST_EVERY)
    assert await is_refused(access, issuer.token(header={"kid": "unknown"}))


async def test_however_many_begin_to_sign_in_the_issuer_is_asked_once_in_a_while(
    access: Access, issuer: Issuer, later: Callable[[float], None]
) -> None:
    """Anybody may begin: also while it is away, nobody makes a service ask on and on."""
    flow = CodeFlow(access, "client", "http://127.0.0.1/signed-in")
    issuer.discovery["authorization_endpoint"] = f"{issuer.url}/authorize"
    issuer.status = 503

    for _ in range(20):
        with pytest.raises(IssuerUnavailable):
            await flow.address("secret", [])
    assert issuer.asked == [DISCOVERY]

    issuer.status = 200
    later(issuer_module.AT_MOST_EVERY)
    begun = await asyncio.gather(*(flow.address("secret", []) for _ in range(20)))
    assert issuer.asked == [DISCOVERY, DISCOVERY, KEYS]
    issuer.status = 503
    later(issuer_module.FRESH)
    assert {*begun, await flow.address("secret", [])} == {begun[0]}


async def test_an_issuer_that_is_not_there_makes_nobody_wait_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    access = Access(IssuerOfTokens("http://127.0.0.1:1"), AUDIENCE)

    async with fetching(access):
        with pytest.raises(IssuerUnavailable):
            await access.prove(Issuer("http://127.0.0.1:1").token())

    assert "the issuer http://127.0.0.1:1 cannot be used, 0 keys" in caplog.text


async def test_an_issuer_that_never_answers_holds_up_neither_others_nor_the_end() -> (
    None
):
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await reader.read()  # to the end, which is the service's
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        access = Access(IssuerOfTokens(f"http://127.0.0.1:{port}"), AUDIENCE)
        async with asyncio.timeout(60), fetching(access):
            with pytest.raises(IssuerUnavailable):
                await access.prove(Issuer(access.issuer.url).token())


LARGE = b"[" + b" " * (issuer_module.MAX_BYTES + 1) + b"]"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/.well-known/openid-configuration", b"no JSON"),
        ("/.well-known/openid-configuration", b"[]"),
        ("/.well-known/openid-configuration", b"[" * 100_000),
        (KEYS, b"{}"),
        (KEYS, b'{"keys": {}}'),
        (KEYS, LARGE),
    ],
)
async def test_an_answer_that_cannot_be_used_changes_no_key(
    access: Access,
    issuer: Issuer,
    later: Callable[[float], None],
    path: str,
    body: bytes,
) -> None:
    await access.prove(issuer.token())
    issuer.answers[path] = body
    later(issuer_module.AT_MOST_EVERY)

    with pytest.raises(IssuerUnavailable):
        await access.prove(issuer.token(header={"kid": "unknown"}))

    assert (await access.prove(issuer.token(subject="john"))).subject


@pytest.mark.parametrize(
    "found",
    [
        {"issuer": "https://other.example.org"},
        {"jwks_uri": "http://id.example.org/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://"},
        {"jwks_uri": "http://[::1/keys"},
        {"jwks_uri": 1},
    ],
)
async def test_a_discovery_document_that_leads_elsewhere_is_not_followed(
    access: Access, issuer: Issuer, found: dict[str, object]
) -> None:
    issuer.discovery = found

    with pytest.raises(IssuerUnavailable):
        await access.prove(issuer.token())

    assert KEYS not in issuer.asked


def test_an_issuer_elsewhere_sends_nobody_to_this_machine() -> None:
    here = "http://127.0.0.1:80/keys"

    assert issuer_module.is_private(here, "http://localhost:9000")
    assert not issuer_module.is_private(here, "https://id.example.org")


async def test_a_redirect_is_not_followed(access: Access, issuer: Issuer) -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    with serving(Elsewhere) as port:
        issuer.status, issuer.location = 302, f"http://127.0.0.1:{port}/"
        with pytest.raises(IssuerUnavailable):
            await access.prove(issuer.token())

    assert asked == []


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kid": None},
        {"kid": ["RS256-1"]},
        {"n": "!"},
        {"n": "AQAB"},
        {"n": 1},
        {"crv": ["P-256"]},
    ],
)
async def test_a_key_for_anything_else_is_not_used(
    access: Access, issuer: Issuer, changed: dict[str, object]
) -> None:
    listed = {"keys": [1, {**signing_key().jwk, **changed}]}
    issuer.answers[KEYS] = json.dumps(listed).encode()

    assert await is_refused(access, issuer.token())
