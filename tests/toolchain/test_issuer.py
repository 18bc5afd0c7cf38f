"""The local issuer: what a standard client needs of it, and what it refuses though it trusts everybody."""

import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest

from tests.toolchain.test_mail import system_in
from toolchain import run, token
from toolchain.issuer import app as issuer_app
from toolchain.issuer import keys, provision
from toolchain.issuer.app import challenge, make_app
from toolchain.issuer.tokens import AUDIENCE, Issuer
from toolchain.machine.failure import Failure
from toolchain.runfile import ROOT
from toolchain.supervise import server

BACK = "http://127.0.0.1:8001/signed-in"
VERIFIER = "v" * 43
ASKED = {
    "response_type": "code",
    "client_id": "order",
    "redirect_uri": BACK,
    "scope": "openid orders:read operate",
    "state": "a-state",
    "nonce": "a-nonce",
    "code_challenge": challenge(VERIFIER),
    "code_challenge_method": "S256",
}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """Return an issuer with one client."""
    return Issuer("http://127.0.0.1:8180", tmp_path, {"order": frozenset({BACK})})


@pytest.fixture
async def http(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the issuer's app."""
    transport = httpx.ASGITransport(make_app(issuer))
    async with httpx.AsyncClient(transport=transport, base_url=issuer.url) as client:
        yield client


async def code_for(http: httpx.AsyncClient, person: str, **changed: str) -> str:
    """Return the code that signing in as this person leads to."""
    answer = await http.post("/authorize", data={**ASKED, **changed, "as": person})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{BACK}?")
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert query["state"] == "a-state"
    return query["code"]


async def exchanged(
    http: httpx.AsyncClient, code: str, **changed: str
) -> httpx.Response:
    """Return the answer to the exchange of a code."""
    sent = {
        "grant_type": "authorization_code",
        "client_id": "order",
        "redirect_uri": BACK,
        "code": code,
        "code_verifier": VERIFIER,
    }
    return await http.post("/token", data={**sent, **changed})


async def verified(
    http: httpx.AsyncClient, encoded: str, audience: str
) -> dict[str, object]:
    """Return a token's claims, verified with the keys that the issuer publishes."""
    published = jwt.PyJWKSet.from_dict((await http.get("/jwks")).json())
    key = published[jwt.get_unverified_header(encoded)["kid"]]
    algorithms = ["RS256", "ES256"]
    claims: dict[str, object] = jwt.decode(
        encoded, key, algorithms, audience=audience, issuer="http://127.0.0.1:8180"
    )
    return claims


async def test_it_says_where_everything_is(http: httpx.AsyncClient) -> None:
    found = (await http.get("/.well-known/openid-configuration")).json()

    assert found["issuer"] == "http://127.0.0.1:8180"
    for endpoint in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert (await http.get(found[endpoint])).status_code != 404
    assert found["code_challenge_methods_supported"] == ["S256"]


async def test_who_signs_in_gets_what_they_may_do_of_what_was_asked(
    http: httpx.AsyncClient,
) -> None:
    answer = await exchanged(http, await code_for(http, "alice"))

    tokens = answer.json()
    allowed = await verified(http, tokens["access_token"], AUDIENCE)
    told = await verified(http, tokens["id_token"], "order")
    assert answer.headers["cache-control"] == "no-store"
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"
    assert (allowed["sub"], allowed["scope"]) == ("alice", "orders:read")
    assert (told["sub"], told["name"], told["nonce"]) == (
        "alice",
        "Alice Martin",
        "a-nonce",
    )


async def test_a_code_is_exchanged_once(http: httpx.AsyncClient) -> None:
    code = await code_for(http, "alice")

    assert (await exchanged(http, code)).status_code == 200
    again = await exchanged(http, code)

    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"client_id": "notification"},
        {"redirect_uri": f"{BACK}?"},
        {"grant_type": "password"},
    ],
)
async def test_a_code_is_exchanged_by_nobody_but_who_asked_for_it(
    http: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    answer = await exchanged(http, await code_for(http, "alice"), **changed)

    assert answer.status_code == 400
    assert "access_token" not in answer.text


async def test_an_old_code_is_refused(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_app, "CODE_LIFE", 0)

    answer = await exchanged(http, await code_for(http, "alice"))

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "unknown"},
        {"redirect_uri": "http://127.0.0.1:8001/elsewhere"},
        {"redirect_uri": "https://attacker.example/signed-in"},
    ],
)
async def test_a_browser_is_sent_nowhere_that_is_not_the_clients_own(
    http: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    shown = await http.get("/authorize", params={**ASKED, **changed})
    chosen = await http.post("/authorize", data={**ASKED, **changed, "as": "olga"})

    assert (shown.status_code, chosen.status_code) == (400, 400)


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"response_type": "token"},
        {"scope": "orders:read"},
    ],
)
async def test_a_request_without_what_makes_it_safe_is_refused_to_the_client(
    http: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    answer = await http.get("/authorize", params={**ASKED, **changed})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{BACK}?error=invalid_request")


async def test_its_page_names_everybody_and_says_what_it_is(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/authorize", params={**ASKED, "state": "\"><script>'"})

    assert "For development" in answer.text
    assert all(name in answer.text for name in ("Alice", "Bob", "Olga"))
    assert "<script>" not in answer.text
    assert (
        "form-action 'self' http://127.0.0.1:8001"
        in (answer.headers["content-security-policy"])
    )


async def test_a_name_that_leads_here_signs_nobody_in(http: httpx.AsyncClient) -> None:
    answer = await http.get("/authorize", headers={"host": "attacker.example"})

    assert answer.status_code == 400


async def test_what_was_signed_before_a_rotation_is_still_verified(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    before = issuer.access_token("alice", ["orders:read"])
    keys.rotate(issuer.folder, "RS256")
    after = issuer.access_token("alice", ["orders:read"])

    headers = [jwt.get_unverified_header(each) for each in (before, after)]
    assert [each["alg"] for each in headers] == ["ES256", "RS256"]
    for each in (before, after):
        assert (await verified(http, each, AUDIENCE))["sub"] == "alice"


def test_its_keys_are_for_their_owner_alone_and_few(tmp_path: Path) -> None:
    keys.load(tmp_path)
    rotated = [keys.rotate(tmp_path) for _ in range(keys.KEPT)]

    assert keys.load(tmp_path) == rotated
    assert stat.S_IMODE((tmp_path / keys.FILE).stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [keys.FILE]


def test_a_token_is_printed_for_a_person_or_for_the_scopes_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    system = system_in(tmp_path)
    monkeypatch.setattr(run, "chosen", lambda: system)
    with pytest.raises(Failure, match="No system runs here"):
        token.show("alice", None, sys.stdout)
    keys.load(system.secrets)

    token.show("alice", None, sys.stdout)
    token.show("alice", "operate", sys.stdout)

    printed = capsys.readouterr().out.split()
    claims = [jwt.decode(each, options={"verify_signature": False}) for each in printed]
    assert [each["scope"] for each in claims] == [
        "orders:read orders:write",
        "operate",
    ]
    assert {each["iss"] for each in claims} == {provision.of(system).url}


def test_a_command_is_typed_with_its_token_or_as_the_operator_of_a_secure_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_in(tmp_path)
    monkeypatch.delenv("TOKEN", raising=False)
    assert provision.as_caller(system) == {}

    keys.load(system.secrets)
    sent = provision.as_caller(system)["authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("TOKEN", "own")

    claims = jwt.decode(sent, options={"verify_signature": False})
    assert claims["sub"] == "olga"
    assert {*claims["scope"].split()} == {"operate", "orders:write"}
    assert provision.as_caller(system) == {"authorization": "Bearer own"}


def test_a_secure_run_trusts_its_issuer_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDC_ISSUER", "https://id.example.org/")
    other, own = system_in(tmp_path), system_in(tmp_path)
    provision.trust(other)
    monkeypatch.delenv("OIDC_ISSUER")
    provision.trust(own)

    assert "OIDC_ISSUER" not in other.app("order")["env"]
    order, notification = (own.app(each) for each in ("order", "notification"))
    assert order["env"]["OIDC_ISSUER"] == provision.of(own).url
    assert order["env"]["PUBLIC_URL"] == f"http://127.0.0.1:{order['appPort']}/"
    assert notification["env"]["OIDC_CLIENT_ID"] == "notification"


def test_no_token_is_printed_for_a_stranger(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match="AS=mallory"):
        token.show("mallory", None, sys.stdout)

    assert not capsys.readouterr().out


def test_make_writes_the_token_alone_and_what_fails_elsewhere(tmp_path: Path) -> None:
    verb = ["make", "--no-print-directory", "token", "OFFSET=48999", "AS=alice"]

    ended = subprocess.run(verb, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "No system runs here" in ended.stderr


def test_it_is_started_as_a_server_of_the_system(tmp_path: Path) -> None:
    system = system_in(tmp_path)
    made = provision.server_in(system, {"order": "http://127.0.0.1:8001/"})

    with server.running(made):
        url = provision.of(system).url
        found = httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False)
        asked = httpx.get(f"{url}/authorize", params=ASKED, trust_env=False)

    assert found.json()["issuer"] == url
    assert asked.status_code == 200
    assert made.commands[-1][0] == sys.executable
    assert not any("--host" in each for each in made.commands[-1])
