"""What is refused before a route sees it, and HEAD."""

import gzip

import httpx
import pytest
from starlette.types import Message

from tests.chassis.http.thing_api import Api

JSON = "application/json"
THING = '{"thingName": "a"}'


async def sends(
    api: Api, body: bytes, content_type: str = JSON, **headers: str
) -> httpx.Response:
    """Send a body to create a thing."""
    named = {each.replace("_", "-"): value for each, value in headers.items()}
    return await api.http.post(
        "/api/thing", content=body, headers={"content-type": content_type, **named}
    )


async def is_refused(api: Api, answer: httpx.Response, status: int, kind: str) -> str:
    """Check that a request was refused and nothing was stored; return the detail."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["type"]) == (status, f"urn:problem-type:{kind}")
    assert await api.count() == 0
    return str(problem["detail"])


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity"])
async def test_a_body_that_is_compressed_is_refused_as_such(
    api: Api, coding: str
) -> None:
    body = gzip.compress(THING.encode())

    answer = await sends(api, body, content_encoding=coding)

    detail = await is_refused(api, answer, 415, "unsupported-media-type")
    assert "Content-Encoding" in detail


async def test_a_body_that_says_it_is_not_compressed_is_accepted(api: Api) -> None:
    answer = await sends(api, THING.encode(), content_encoding="identity")

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        '{"thingName": "a", "thingName": "b"}',
        '{"thingName": "a", "thingN\\u0061me": "b"}',
        '{"thingName": "a", "within": [{"x": 1, "y": {"z": 1, "z": 2}}]}',
    ],
)
async def test_a_name_that_occurs_twice_is_refused(api: Api, body: str) -> None:
    detail = await is_refused(
        api, await sends(api, body.encode()), 400, "malformed-json"
    )

    assert "occurs twice in one object" in detail


async def test_a_name_may_occur_in_two_objects(api: Api) -> None:
    body = '{"thingName": "a", "within": [{"x": 1}, {"x": 2}]}'

    answer = await sends(api, body.encode())

    assert answer.json()["errors"][0]["field"] == "within"


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
async def test_json_in_another_encoding_is_refused(api: Api, charset: str) -> None:
    answer = await sends(api, THING.encode(charset))

    await is_refused(api, answer, 400, "malformed-json")


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "Infinity"])
async def test_what_python_alone_takes_for_json_is_refused(
    api: Api, value: str
) -> None:
    answer = await sends(api, f'{{"thingName": {value}}}'.encode())

    await is_refused(api, answer, 400, "malformed-json")


@pytest.mark.parametrize("charset", ["iso-8859-1", '"UTF-16"', "utf8mb4"])
async def test_another_charset_is_refused(api: Api, charset: str) -> None:
    answer = await sends(api, THING.encode(), f"{JSON}; charset={charset}")

    await is_refused(api, answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"'])
async def test_the_charset_of_json_may_be_named(api: Api, charset: str) -> None:
    answer = await sends(api, THING.encode(), f"{JSON}; v=1; charset={charset}")

    assert answer.status_code == 201


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_the_body_of_every_method_is_checked(api: Api, method: str) -> None:
    """Also where the route itself takes none."""

    @api.app.api_route("/api/other", methods=[method])
    async def change() -> None:
        """Take no body."""

    answer = await api.http.request(method, "/api/other", content=b"-")

    await is_refused(api, answer, 415, "unsupported-media-type")


async def test_what_is_nested_too_deeply_is_refused_with_a_key_too(api: Api) -> None:
    """Also just where it is parsed still: the stack is deeper where the key's request is compared."""
    answers = [
        await api.http.post(
            "/api/touch",
            content="[" * depth + "]" * depth,
            headers={"content-type": JSON, "idempotency-key": str(depth)},
        )
        for depth in range(800, 1000)
    ]

    assert {each.status_code for each in answers} == {200, 400}
    await is_refused(api, answers[-1], 400, "malformed-json")


@pytest.mark.parametrize("path", ["/api/thing/", "/docs/", "//api/thing"])
async def test_nobody_is_led_to_another_host(api: Api, path: str) -> None:
    answer = await api.http.get(
        f"http://app{path}", headers={"host": "another.example"}
    )

    await is_refused(api, answer, 404, "not-found")
    assert "location" not in answer.headers


async def test_the_body_of_a_get_is_left_alone(api: Api) -> None:
    answer = await api.http.request("GET", "/api/thing", content=b"-")

    assert answer.status_code == 200


async def test_a_caller_that_leaves_in_the_middle_of_its_body_changes_nothing(
    api: Api,
) -> None:
    half: Message = {"type": "http.request", "body": b"{", "more_body": True}
    arriving, sent = [half, {"type": "http.disconnect"}], list[Message]()

    async def receive() -> Message:
        return arriving.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/thing", "headers": []}
    await api.app({**scope, "query_string": b""}, receive, send)

    assert sent[0]["status"] == 400
    assert await api.count() == 0


@pytest.mark.parametrize("path", ["/api/thing", "/docs", "/openapi.json"])
async def test_head_answers_as_get_does_without_the_body(api: Api, path: str) -> None:
    full, head = await api.http.get(path), await api.http.head(path)

    assert (full.status_code, head.status_code) == (200, 200)
    assert head.content == b""
    assert head.headers == full.headers


async def test_head_of_what_only_post_answers_names_what_is_allowed(api: Api) -> None:
    @api.app.post("/api/only-post")
    async def post_only() -> None:
        """Answer to POST alone."""

    answer = await api.http.head("/api/only-post")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    allowed = (await api.http.put("/api/thing")).headers["allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "POST"}
