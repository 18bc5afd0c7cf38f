"""People who sign in on pages: a browser without a screen, and the issuer of the tool chain beside it."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from tests.support.serving import serving_app
from toolchain.issuer.app import make_app
from toolchain.issuer.tokens import AUDIENCE, Issuer
from toolchain.runfile import free_port

PAGES = "http://127.0.0.1:8001/"
"""Where the browser finds the pages of the app that it looks at."""
OWN = {"sec-fetch-site": "same-origin", "origin": PAGES.rstrip("/")}


@contextmanager
def issuing(
    folder: Path, client: str = "order", pages: str = PAGES
) -> Iterator[Issuer]:
    """Run an issuer that knows the pages of one service."""
    port = free_port()
    back = {client: frozenset({f"{pages}signed-in"})}
    issuer = Issuer(f"http://127.0.0.1:{port}", folder, back)
    with serving_app(make_app(issuer), port):
        yield issuer


def settings(
    issuer: Issuer, client: str = "order", pages: str = PAGES
) -> dict[str, str]:
    """Return the settings of a service whose pages people sign in on."""
    return {
        "oidc_issuer": issuer.url,
        "oidc_audience": AUDIENCE,
        "oidc_client_id": client,
        "public_url": pages,
    }


@dataclass
class Browser:
    """A browser: it keeps cookies as they do, for a host and all its ports."""

    http: httpx.AsyncClient

    async def opens(self, page: str, **headers: str) -> httpx.Response:
        """Return a page, or where it leads."""
        return await self.http.get(f"{PAGES}{page}", headers=headers)

    async def comes_back(self, person: str, asked: httpx.Response) -> str:
        """Return where the issuer sends the browser, once somebody is chosen on its page."""
        assert asked.status_code == 303, asked.text
        there = httpx.URL(asked.headers["location"])
        fields = {**dict(there.params), "as": person}
        answer = await self.http.post(there.copy_with(query=None), data=fields)
        return str(answer.headers["location"])

    async def signs_in(self, person: str, page: str = "") -> httpx.Response:
        """Sign in, and return the answer that begins the session."""
        asked = await self.http.get(f"{PAGES}sign-in", params={"next": page})
        return await self.http.get(await self.comes_back(person, asked))

    async def sends(
        self, page: str, form_of: str = "", **fields: str
    ) -> httpx.Response:
        """Send a form as the page has it, its hidden fields too; `form_of` is that page's text."""
        given = {**hidden(form_of), **fields}
        return await self.http.post(f"{PAGES}{page}", data=given, headers=OWN)


def hidden(text: str) -> dict[str, str]:
    """Return the hidden fields of a page's last form."""
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text)
    return dict(found)


@asynccontextmanager
async def browsing(app: ASGIApp) -> AsyncIterator[Browser]:
    """Open a browser that finds an app's pages at PAGES, and everything else where it is."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        mounts={PAGES.rstrip("/"): transport}, trust_env=False, timeout=60
    ) as client:
        yield Browser(client)
