"""The issuer's endpoints: discovery, keys, authorization by code with PKCE, tokens; and a page of whom to be."""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from toolchain.issuer import keys
from toolchain.issuer.people import PEOPLE, Person
from toolchain.issuer.tokens import LIFE, Issuer

HERE = "127.0.0.1"
CODE_LIFE, MOST_CODES = 60, 1000
"""Seconds that a code can be exchanged, and how many wait for that."""
REQUEST = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
)
PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    (Path(__file__).parent / "sign-in.html").read_text()
)
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Code:
    """Whom a code stands for, and what must come with it."""

    person: Person
    asked: Mapping[str, str]
    expires_at: float

    @property
    def scopes(self) -> frozenset[str]:
        """What the person may do of what was asked for."""
        return self.person.scopes & {*self.asked.get("scope", "").split()}

    def fits(self, sent: Mapping[str, str]) -> bool:
        """Return whether the exchange comes from the client that asked, and in time."""
        same = ("client_id", "redirect_uri")
        return (
            time.monotonic() < self.expires_at
            and all(sent.get(each) == self.asked[each] for each in same)
            and challenge(sent.get("code_verifier", "")) == self.asked["code_challenge"]
        )


def challenge(verifier: str) -> str:
    """Return what PKCE's S256 makes of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_app(issuer: Issuer) -> Starlette:
    """Return the issuer's app."""
    # Any page in the browser may let its own name lead here; it must not sign anybody in by it.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HERE, "localhost"])
    routes = [
        Route("/.well-known/openid-configuration", discovery),
        Route("/jwks", jwks),
        Route("/authorize", ask, methods=["GET"]),
        Route("/authorize", grant, methods=["POST"]),
        Route("/token", exchange, methods=["POST"]),
    ]
    app = Starlette(routes=routes, middleware=[hosts])
    app.state.issuer = issuer
    codes: dict[str, Code] = {}
    app.state.codes = codes
    return app


def discovery(request: Request) -> Response:
    """Return where everything is (OpenID Connect Discovery)."""
    url = _issuer(request).url
    return JSONResponse(
        {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/jwks",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "scopes_supported": sorted(
                {"openid"}.union(*(each.scopes for each in PEOPLE.values()))
            ),
        }
    )


def jwks(request: Request) -> Response:
    """Return the public keys."""
    found = keys.load(_issuer(request).folder)
    return JSONResponse({"keys": [each.jwk for each in found]})


def ask(request: Request) -> Response:
    """Show whom one can sign in as."""
    return _page(request, dict(request.query_params))


async def grant(request: Request) -> Response:
    """Send the browser back to the client with a code for the chosen person."""
    fields = await _fields(request)
    person = PEOPLE.get(fields.get("as", ""))
    if person is None or _problem(request, fields):
        return _page(request, fields)
    codes = _codes(request)
    while len(codes) >= MOST_CODES:
        del codes[next(iter(codes))]
    code = secrets.token_urlsafe(32)
    codes[code] = Code(person, fields, time.monotonic() + CODE_LIFE)
    return _back(fields, {"code": code})


async def exchange(request: Request) -> Response:
    """Return the tokens for a code, once."""
    fields = await _fields(request)
    if fields.get("grant_type") != "authorization_code":
        return _refused("unsupported_grant_type")
    code = _codes(request).pop(fields.get("code", ""), None)
    if code is None or not code.fits(fields):
        return _refused("invalid_grant")
    issuer, client = _issuer(request), code.asked["client_id"]
    tokens = {
        "access_token": issuer.access_token(code.person.subject, code.scopes, client),
        "id_token": issuer.id_token(code.person, client, code.asked.get("nonce")),
        "token_type": "Bearer",
        "expires_in": LIFE,
        "scope": " ".join(sorted(code.scopes)),
    }
    return JSONResponse(tokens, headers=NO_STORE)


def _page(request: Request, asked: Mapping[str, str]) -> Response:
    problem = _problem(request, asked)
    if problem and _may_return(request, asked):
        error = {"error": "invalid_request", "error_description": problem}
        return _back(asked, error)
    given = {name: asked[name] for name in REQUEST if name in asked}
    shown = PAGE.render(problem=problem, asked=given, people=PEOPLE.values())
    target = urlsplit("" if problem else asked["redirect_uri"])
    # A browser applies it to where an answer to the form leads, too.
    actions = f"'self' {target.scheme}://{target.netloc}" if not problem else "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action {actions}"
    headers = {**NO_STORE, "Content-Security-Policy": policy}
    return HTMLResponse(shown, 400 if problem else 200, headers)


def _problem(request: Request, asked: Mapping[str, str]) -> str:
    """Return what is wrong with a request for authorization, or nothing."""
    if not _may_return(request, asked):
        return "The client is unknown, or the redirect_uri is none of its own."
    if asked.get("response_type") != "code" or "state" not in asked:
        return "Only response_type=code is supported, with a state."
    if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
        return "PKCE with S256 is needed."
    return (
        "" if "openid" in asked.get("scope", "").split() else "The scope lacks openid."
    )


def _may_return(request: Request, asked: Mapping[str, str]) -> bool:
    own = _issuer(request).clients.get(asked.get("client_id", ""), frozenset())
    return asked.get("redirect_uri") in own


def _back(asked: Mapping[str, str], result: Mapping[str, str]) -> Response:
    query = urlencode({**result, "state": asked.get("state", "")})
    return RedirectResponse(f"{asked['redirect_uri']}?{query}", 303, NO_STORE)


def _refused(error: str) -> Response:
    return JSONResponse({"error": error}, 400, NO_STORE)


async def _fields(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("ascii", "replace")))


def _issuer(request: Request) -> Issuer:
    issuer: Issuer = request.app.state.issuer
    return issuer


def _codes(request: Request) -> dict[str, Code]:
    codes: dict[str, Code] = request.app.state.codes
    return codes
