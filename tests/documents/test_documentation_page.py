"""The page at /docs: complete in itself, and about every endpoint."""

from html.parser import HTMLParser

import httpx
import pytest

from chassis import documentation
from chassis.http.openapi import operations
from tests.support.services import Service

LINKS = {"href", "src", "srcset", "action", "data", "poster", "formaction"}
VOID = {"meta", "link", "wbr"}


class Page(HTMLParser):
    """What a page refers to, what is in it, and whether its elements are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in LINKS]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def page_of(service: Service) -> tuple[httpx.Response, Page]:
    """Get the page as a browser does."""
    answer = await service.http.get("/docs")
    assert answer.status_code == 200
    return answer, Page(answer.text)


@pytest.fixture(params=["order", "notification"])
def service(
    request: pytest.FixtureRequest, order: Service, notification: Service
) -> Service:
    """Take each service in turn."""
    return {"order": order, "notification": notification}[request.param]


async def test_it_refers_to_nothing_outside_the_service(service: Service) -> None:
    answer, page = await page_of(service)

    outside = [
        link
        for link in page.links
        if not link.startswith("#") and link not in {"openapi.json", "data:,"}
    ]
    assert outside == []
    assert "script" not in page.tags
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_it_shows_every_operation(service: Service) -> None:
    _, page = await page_of(service)
    document = service.app.openapi()

    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for path in document["paths"]:
        assert path in page.text
    for operation in operations(document):
        assert operation["operationId"] in page.ids
        assert f"#{operation['operationId']}" in page.links
        assert page.text.count(operation["summary"]) >= 2


async def test_its_link_to_the_description_works(service: Service) -> None:
    _, page = await page_of(service)

    assert "openapi.json" in page.links
    assert (await service.http.get("/openapi.json")).status_code == 200


async def test_its_example_is_an_order_that_is_accepted(order: Service) -> None:
    _, page = await page_of(order)

    assert (
        "curl http://app/api/order \\\n  -H 'content-type: application/json'"
        in page.text
    )
    sent = page.text.partition("-d '")[2].partition("'")[0]
    answer = await order.http.post(
        "/api/order", content=sent, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 201


async def test_pages_that_would_load_from_elsewhere_are_not_there(
    service: Service,
) -> None:
    assert (await service.http.get("/redoc")).status_code == 404
    assert "/docs" not in service.app.openapi()["paths"]


async def test_what_is_shown_is_escaped(order: Service) -> None:
    document = order.app.openapi()
    evil = {
        **document,
        "info": {"title": "<script>", "version": "1", "description": "<b> `x<y`"},
    }

    text = documentation.render(evil, "http://<img src=x>")

    assert "<script" not in text
    assert "<b>" not in text
    assert "<img" not in text
    assert "<code>x&lt;y</code>" in text
