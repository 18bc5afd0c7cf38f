"""What every page has: headers that let a browser do nothing else, relative links, errors that are pages too."""

import hashlib
import re
from pathlib import Path

import httpx
import pytest

from chassis.pages import static
from tests.chassis.pages.things import small_service
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

VENDORED = {
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
}
"""As the package htmx.org 4.0.1 has them in `dist` and `dist/ext`; their licence lies beside them."""
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|\shx-on|js:")
"""What the Content-Security-Policy would refuse, or what would need `unsafe-eval`."""


async def test_a_page_may_load_nothing_but_what_is_its_own(service: Service) -> None:
    answer = await service.http.get("/things/a")

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert not INLINE.search(answer.text)


async def test_what_a_page_shows_is_text_and_never_markup(service: Service) -> None:
    answer = await service.http.get("/things/<script>alert(1)<'\">&")

    assert "<script>alert" not in answer.text
    assert "<li>&lt;script&gt;alert(1)&lt;&#39;&#34;&gt;&amp;</li>" in answer.text


async def test_every_link_of_a_page_is_relative_and_leads_somewhere_through_dapr_too(
    service: Service,
) -> None:
    answer = await service.http.get("/things/a")

    links = re.findall(r'(?:href|src)="([^"#]*)"', answer.text)
    assert len(links) > 6
    invoked = httpx.URL("http://sidecar/v1.0/invoke/things/method/things/a")
    for link in links:
        assert not link.startswith(("/", "http"))
        path = invoked.join(link).path
        assert path.startswith("/v1.0/invoke/things/method/")


async def test_a_page_loads_its_files_and_a_browser_keeps_them(
    service: Service,
) -> None:
    answer = await service.http.get("/things/a")

    for link in re.findall(r'(?:href|src)="([^"]*static/[^"]*)"', answer.text):
        loaded = await service.http.get(answer.request.url.join(link))
        assert loaded.status_code == 200
        assert "immutable" in loaded.headers["cache-control"]
        assert loaded.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["static/0/style.css", "static/0/../../page.py", "static/0/htmx-LICENSE.txt"],
)
async def test_nothing_else_is_served(service: Service, path: str) -> None:
    answer = await service.http.get(f"/{path}")

    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


@pytest.mark.parametrize("name", VENDORED)
def test_the_scripts_of_others_are_as_their_makers_published_them(name: str) -> None:
    digest = hashlib.sha256((static.FOLDER / name).read_bytes()).hexdigest()

    assert digest == VENDORED[name]
    assert "Zero-Clause BSD" in (static.FOLDER / "htmx-LICENSE.txt").read_text()


async def test_pages_are_not_in_the_description_of_the_api(service: Service) -> None:
    described = (await service.http.get("/openapi.json")).json()

    assert not any("things/" in each or "static" in each for each in described["paths"])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_page_leads_to_the_apis_description_where_that_is_served(
    scheme: str, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    given = {"public_url": f"{scheme}://localhost:8443/"}
    async with small_service(tmp_path, dapr, given) as service:
        answer = await service.http.get("/things/a", headers={"host": "localhost"})

    assert answer.status_code == 200
    assert ('href="../docs"' in answer.text) == (scheme == "http")
