"""The page at /docs: Swagger UI with "try it out", complete without a network."""

import re
from html.parser import HTMLParser

import pytest

from tests.support.services import Service

LINKS = {"href", "src", "srcset", "action", "data", "poster", "formaction"}


class Links(HTMLParser):
    """What a page loads or leads to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the links of one element."""
        self.found += [value or "" for name, value in attrs if name in LINKS]


@pytest.fixture(params=["order", "notification"])
def service(
    request: pytest.FixtureRequest, order: Service, notification: Service
) -> Service:
    """Return each service in turn."""
    return {"order": order, "notification": notification}[request.param]


async def test_it_loads_everything_from_the_service_itself(service: Service) -> None:
    page = (await service.http.get("/docs")).text

    links = [*Links(page).found, *re.findall(r"url: '(.+?)'", page)]

    assert {"/openapi.json", "/static-offline-docs/swagger-ui-bundle.js"} < set(links)
    for each in links:
        assert each.startswith("/"), each
        assert not each.startswith("//"), each
        answer = await service.http.get(each)
        assert (answer.status_code, bool(answer.content)) == (200, True), each
    assert "://" not in page


async def test_it_sends_the_description_to_no_validator(service: Service) -> None:
    assert '"validatorUrl": null' in (await service.http.get("/docs")).text


async def test_pages_that_would_load_from_elsewhere_are_not_there(
    service: Service,
) -> None:
    assert (await service.http.get("/redoc")).status_code == 404
    assert "/docs" not in service.app.openapi()["paths"]
