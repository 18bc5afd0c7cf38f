"""An access token counts only if the issuer signed it, for this service, for now."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from jwt.utils import base64url_encode
from starlette.datastructures import Headers

from chassis.access import Access, ScopeMissing, Unauthenticated
from chassis.access import Issuer as IssuerOfTokens
from chassis.access.caller import Caller, token_of
from tests.support.issuer import AUDIENCE, Issuer, encoded, issuing, signing_key

LONG = 3600


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """Run an issuer with a key of each kind."""
    with issuing() as running:
        running.keys = [signing_key(each) for each in ("RS256", "ES256", "EdDSA")]
        yield running


@pytest.fixture
def access(issuer: Issuer) -> Access:
    """Return the access control of a service that accepts the issuer's tokens."""
    return Access(IssuerOfTokens(issuer.url), AUDIENCE)


async def refusal(access: Access, token: str) -> str:
    """Return why a token is refused."""
    with pytest.raises(Unauthenticated) as refused:
        await access.prove(token)
    assert 'error="invalid_token"' in refused.value.headers["WWW-Authenticate"]
    return str(refused.value)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_proves_its_subject_and_its_scopes(
    access: Access, issuer: Issuer, algorithm: str
) -> None:
    token = issuer.token("orders:read  operate", key=signing_key(algorithm))

    caller = await access.prove(token)

    assert caller.subject == "jane"
    assert caller.scopes == {"orders:read", "operate"}


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": ["orders:read", "operate"]},
        {"scope": None, "scp": "orders:read operate"},
        {"scope": None, "scp": ["orders:read", "operate"]},
        {"aud": ["https://other.example.org", AUDIENCE]},
    ],
)
async def test_issuers_write_scopes_and_audiences_as_a_text_or_a_list(
    access: Access, issuer: Issuer, claims: dict[str, Any]
) -> None:
    caller = await access.prove(issuer.token("orders:read operate", **claims))

    assert caller.scopes == {"orders:read", "operate"}


@pytest.mark.parametrize("word", ["orders:read operate", "a\u00a0operate", 'a"', ""])
async def test_what_is_no_scope_grants_nothing(
    access: Access, issuer: Issuer, word: str
) -> None:
    caller = await access.prove(issuer.token(scope=["orders:read", word]))

    assert caller.scopes == {"orders:read"}


async def test_a_token_that_lasts_longer_than_time_is_valid(
    access: Access, issuer: Issuer
) -> None:
    assert not (await access.prove(issuer.token(exp=10**400))).has_expired


@pytest.mark.parametrize("kind", ["at+jwt", "JWT", "jwt", "application/at+jwt"])
async def test_its_typ_says_that_it_is_an_access_token(
    access: Access, issuer: Issuer, kind: str
) -> None:
    assert (await access.prove(issuer.token(header={"typ": kind}))).subject


NOW = int(time.time())
WRONG_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": NOW - LONG, "iat": NOW - 2 * LONG}, "expired"),
    "not yet valid": ({"nbf": NOW + LONG}, "not valid yet"),
    "issued in the future": ({"iat": NOW + LONG}, "not valid yet"),
    "of another issuer": ({"iss": "https://other.example.org"}, "another issuer"),
    "of no text for an issuer": ({"iss": [1]}, "another issuer"),
    "for another audience": ({"aud": "https://other.example.org"}, "another audience"),
    "for a longer audience": ({"aud": AUDIENCE + "/x"}, "another audience"),
    "without expiry": ({"exp": None}, "lacks"),
    "without issuer": ({"iss": None}, "lacks"),
    "without audience": ({"aud": None}, "lacks"),
    "without subject": ({"sub": None}, "lacks"),
    "without time of issue": ({"iat": None}, "lacks"),
    "with endless expiry": ({"exp": float("inf")}, "malformed"),
    "with a word for an expiry": ({"exp": "soon"}, "malformed"),
    "with a list for an expiry": ({"exp": [1]}, "malformed"),
    "with a number for a subject": ({"sub": 1}, "malformed"),
    "with an empty subject": ({"sub": ""}, "sub"),
    "with a subject too long": ({"sub": "x" * 256}, "sub"),
    "with controls in its subject": ({"sub": "jane\u0000"}, "sub"),
    "with a number for scopes": ({"scope": 1}, "scope"),
    "with numbers in its scopes": ({"scope": [1]}, "scope"),
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
async def test_a_token_with_wrong_claims_is_refused(
    access: Access, issuer: Issuer, wrong: str
) -> None:
    claims, why = WRONG_CLAIMS[wrong]

    assert why in await refusal(access, issuer.token(**claims))


@pytest.mark.parametrize("kind", [None, "", "id+jwt", "dpop+jwt", 1, ["at+jwt"]])
async def test_another_kind_of_token_is_refused(
    access: Access, issuer: Issuer, kind: object
) -> None:
    token = issuer.token(header={"typ": kind})

    assert await refusal(access, token)


def _with_header(token: str, changed: dict[str, object]) -> str:
    """Return a token with another header, its signature left as it was."""
    first, rest = token.split(".", 1)
    header = json.loads(base64.urlsafe_b64decode(first + "=="))
    return f"{encoded({**header, **changed})}.{rest}"


@pytest.mark.parametrize(
    "changed",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"kid": "unknown"},
        {"kid": None},
        {"kid": ["RS256-1"]},
        {"kid": "ES256-1"},
        {"crit": ["exp"]},
        {"b64": False},
        {"jku": "http://127.0.0.1:1/keys"},
    ],
)
async def test_a_token_with_another_header_is_refused(
    access: Access, issuer: Issuer, changed: dict[str, object]
) -> None:
    assert await refusal(access, _with_header(issuer.token("operate"), changed))


async def test_a_token_that_nobody_signed_is_refused(
    access: Access, issuer: Issuer
) -> None:
    _, claims, _ = issuer.token("operate").split(".")
    header = encoded({"alg": "none", "typ": "at+jwt", "kid": signing_key().id})

    assert "malformed" in await refusal(access, f"{header}.{claims}.")


async def test_the_public_key_is_no_secret_that_signs(
    access: Access, issuer: Issuer
) -> None:
    """An HMAC with the text of the public key: CVE-2015-9235, again and again."""
    public = signing_key().private.public_key()
    text = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _, claims, _ = issuer.token("operate").split(".")
    header = encoded({"alg": "HS256", "typ": "at+jwt", "kid": signing_key().id})
    mac = hmac.digest(text, f"{header}.{claims}".encode(), "sha256")

    token = f"{header}.{claims}.{base64url_encode(mac).decode()}"

    assert await refusal(access, token)


async def test_a_token_of_somebody_else_s_key_is_refused(
    access: Access, issuer: Issuer
) -> None:
    other = signing_key("RS256", 2)
    token = issuer.token("operate", key=other, header={"kid": signing_key().id})

    assert "signature is wrong" in await refusal(access, token)


@pytest.mark.parametrize(
    "token",
    ["x", "a.b.c", "..", "a.b", "é.é.é", "e30.e30.e30", "W10.W10.W10", "1" * 9000],
)
async def test_what_is_no_token_is_refused(access: Access, token: str) -> None:
    assert await refusal(access, token)


async def test_a_verified_token_is_known_until_it_expires(issuer: Issuer) -> None:
    keys = IssuerOfTokens(issuer.url)
    access = Access(keys, AUDIENCE, leeway=LONG)
    lasting, ending = issuer.token(), issuer.token(exp=NOW - 5)
    for each in (lasting, ending):
        await access.prove(each)

    # Without a key, nothing can be verified once more.
    keys._keys = {}

    assert (await access.prove(lasting)).subject
    with pytest.raises(Unauthenticated):
        await access.prove(ending)


async def test_few_tokens_are_known_at_a_time(issuer: Issuer) -> None:
    access = Access(IssuerOfTokens(issuer.url), AUDIENCE, most_known=3)

    for number in range(10):
        await access.prove(issuer.token(subject=f"jane {number}"))

    assert len(access._known) == 3


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_has_no_case(scheme: str) -> None:
    assert token_of(Headers({"authorization": f"{scheme} abc"})) == "abc"


@pytest.mark.parametrize(
    "sent",
    [
        ["Basic abc"],
        ["Bearer"],
        ["Bearer a b"],
        ["abc"],
        ["Bearer a", "Bearer a"],
        [""],
    ],
)
def test_any_other_authorization_is_refused(sent: list[str]) -> None:
    raw = [(b"authorization", each.encode()) for each in sent]

    with pytest.raises(Unauthenticated):
        token_of(Headers(raw=raw))


def test_nobody_is_asked_for_more_than_a_token_who_sent_none() -> None:
    with pytest.raises(Unauthenticated) as refused:
        token_of(Headers({}))

    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}


async def test_a_scope_that_is_missing_is_named(access: Access, issuer: Issuer) -> None:
    headers = Headers(issuer.authorization("orders:read"))

    await access.admit(headers, "orders:read")
    with pytest.raises(ScopeMissing, match="orders:write") as refused:
        await access.admit(headers, "orders:write")

    said = refused.value.headers["WWW-Authenticate"]
    assert said == 'Bearer error="insufficient_scope", scope="orders:write"'


def test_whoever_operates_reads_everything_and_writes_nothing() -> None:
    caller = Caller("ada", frozenset({"operate"}))

    assert [
        caller.may(each) for each in ("orders:read", "operate", "orders:write")
    ] == [
        True,
        True,
        False,
    ]
    assert caller.owner is None
