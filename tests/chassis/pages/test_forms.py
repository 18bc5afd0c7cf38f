"""Forms: carried out once, as a command of the API is, and only where a page of this service sends them."""

import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from chassis.http import units
from tests.chassis.pages.things import names
from tests.support.services import Service
from toolchain.runfile import ROOT

OWN = {"sec-fetch-site": "same-origin", "origin": "http://app"}


async def sends(
    service: Service, headers: dict[str, str] | None = None, **fields: str
) -> httpx.Response:
    """Send the form of the page."""
    given = OWN if headers is None else headers
    return await service.http.post("/things/a", data=fields, headers=given)


async def stored(service: Service) -> list[str]:
    """Return what is stored."""
    return await service.database.read(names)


async def test_a_form_is_carried_out_and_leads_to_a_page(service: Service) -> None:
    answer = await sends(service, thingName="Jörg & <b>Söhne</b>", number="")

    assert answer.status_code == 303
    assert answer.headers["location"] == "a"
    assert await stored(service) == ["Jörg & <b>Söhne</b>"]


async def test_a_form_that_is_sent_twice_is_carried_out_once(service: Service) -> None:
    key = str(uuid4())

    answers = [
        await sends(service, thingName="a", idempotencyKey=key) for _ in range(2)
    ]

    assert [each.status_code for each in answers] == [303, 303]
    assert await stored(service) == ["a"]


async def test_each_form_has_a_key_of_its_own(service: Service) -> None:
    pages = [(await service.http.get("/things/a")).text for _ in range(2)]

    keys = {
        each.partition('name="idempotencyKey" value="')[2].partition('"')[0]
        for each in pages
    }
    assert len(keys) == 2
    assert all(len(each) == 36 for each in keys)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"thingName": " "}, "thingName: Field required"),
        ({"thingName": "a" * 21}, "thingName: Value should have at most 20 "),
        ({"thingName": "a\u202e"}, "thingName: must not contain control characters"),
        ({"thingName": "a", "number": "x"}, "number: Input should be a valid integer"),
        ({"thingName": "a", "number": "0"}, "number: Input should be greater than or"),
        ({"thingName": "a", "other": "b"}, "other: Extra inputs are not permitted"),
    ],
)
async def test_what_is_wrong_is_said_at_the_field_in_the_words_of_the_api(
    service: Service, fields: dict[str, str], error: str
) -> None:
    answer = await sends(service, OWN, **fields)

    assert answer.status_code == 422
    assert f'<p class="error">{error}' in answer.text
    assert await stored(service) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "http://app"},
        {"sec-fetch-site": "same-site", "origin": "http://other.app"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "null", "host": ""},
        {"origin": "http://["},
    ],
)
async def test_a_form_of_another_site_is_refused(
    service: Service, headers: dict[str, str]
) -> None:
    answer = await sends(service, headers, thingName="a")

    assert answer.status_code == 403
    assert "sent by a page of another site" in answer.text
    assert await stored(service) == []


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"origin": "http://app"},
        {},
        # Through Dapr the service sees another Host than the browser does.
        {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:3500"},
    ],
)
async def test_a_form_of_the_service_itself_is_not(
    service: Service, headers: dict[str, str]
) -> None:
    answer = await sends(service, headers, thingName="a")

    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"thingName": "a"}', "application/json", 415),
        (b"thingName=a", "multipart/form-data; boundary=x", 415),
        (b"thingName=%ff", "application/x-www-form-urlencoded", 400),
        (b"thingName=\xff", "application/x-www-form-urlencoded", 400),
        (b"thingName=a&thingName=b", "application/x-www-form-urlencoded", 400),
        (b"a&" * 101, "application/x-www-form-urlencoded", 400),
        (b"thingName=" + b"a" * 65536, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_what_is_no_form_is_refused_on_a_page(
    service: Service, body: bytes, content_type: str, status: int
) -> None:
    headers = {**OWN, "content-type": content_type}
    answer = await service.http.post("/things/a", content=body, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>" in answer.text
    assert await stored(service) == []


async def test_what_a_command_refuses_is_a_page_with_its_status(
    service: Service,
) -> None:
    answer = await sends(service, thingName="a", number="1000")

    assert answer.status_code == 409
    assert answer.headers["retry-after"] == "7"
    assert "<h1>There are too many things.</h1>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_form_is_refused_where_too_many_commands_wait(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "MOST_WAITING", 0)

    answer = await sends(service, thingName="a")

    assert answer.status_code == 503
    assert "Too many requests wait" in answer.text


TEMPLATES = [
    each
    for folder in ("chassis", "services")
    for each in (ROOT / folder).glob("**/templates/*.html")
    if "<form" in each.read_text()
]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_every_form_of_every_page_has_its_hidden_fields(template: Path) -> None:
    forms = re.findall(r"<form\b.*?</form>", template.read_text(), re.DOTALL)

    sent = [each for each in forms if 'method="post"' in each]
    assert all("{{ hidden_fields() }}" in each for each in sent)
    assert all('method="get"' in each for each in forms if each not in sent)
