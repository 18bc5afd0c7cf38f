"""The API's page at /docs: made from the API's own description, complete in itself, and readable on a phone.

FastAPI's pages load their scripts from elsewhere, so they are blank where there is no way out. This one needs
no script at all.
"""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from chassis.schema_words import Row, example, resolve, rows, words

Json = dict[str, Any]

STYLE = (Path(__file__).parent / "documentation.css").read_text(encoding="utf-8")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def install(app: FastAPI) -> None:
    """Serve the page at /docs."""

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        page = render(app.openapi(), str(request.base_url).rstrip("/"))
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def render(document: Json, base: str) -> str:
    """Write the page; `base` is where the reader reached the service, for the example requests."""
    title = escape(document["info"]["title"])
    by_tag = _by_tag(document)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: its API</title>
<link rel="icon" href="data:,">
<style>
{STYLE}</style>
</head>
<body>
<a class="skip" href="#operations">Skip to the operations</a>
<header>
<h1>{title}</h1>
<p>{_prose(document["info"].get("description", ""))}</p>
<p class="quiet">Version {escape(document["info"]["version"])},
<a href="openapi.json">OpenAPI description</a></p>
</header>
<div class="columns">
<nav aria-label="Operations">
{_join(_contents(tag, operations) for tag, operations in by_tag.items())}
</nav>
<main id="operations">
{_join(_section(tag, operations, document, base) for tag, operations in by_tag.items())}
</main>
</div>
</body>
</html>
"""


def _by_tag(document: Json) -> dict[str, list[Json]]:
    # What the service is for comes first; what every service has, its health, last.
    found: dict[str, list[Json]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = (operation.get("tags") or ["Other"])[0]
            entry = {**operation, "method": method, "path": path}
            found.setdefault(tag, []).append(entry)
    return dict(sorted(found.items(), key=lambda each: each[0] == "Health"))


def _contents(tag: str, operations: list[Json]) -> str:
    links = _join(
        f'<li><a href="#{escape(each["operationId"])}">{_method(each)} {escape(each["summary"])}</a></li>'
        for each in operations
    )
    return f"<h2>{escape(tag)}</h2>\n<ul>\n{links}\n</ul>"


def _section(tag: str, operations: list[Json], document: Json, base: str) -> str:
    articles = _join(_article(each, document, base) for each in operations)
    return f"<section>\n<h2>{escape(tag)}</h2>\n{articles}\n</section>"


def _article(operation: Json, document: Json, base: str) -> str:
    parts = [
        f"<h3>{escape(operation['summary'])}</h3>",
        f'<p class="address">{_method(operation)} <code>{_breakable(operation["path"])}</code></p>',
        f"<p>{_prose(operation['description'])}</p>"
        if "description" in operation
        else "",
        *_parameters(operation, document),
        *_body(operation, document),
        "<h4>Example</h4>",
        _code(_curl(operation, document, base)),
        "<h4>Answers</h4>",
        *(
            _answer(status, answer, document)
            for status, answer in operation["responses"].items()
        ),
    ]
    return (
        f'<article id="{escape(operation["operationId"])}">\n{_join(parts)}\n</article>'
    )


def _method(operation: Json) -> str:
    method = operation["method"].upper()
    return f'<span class="method {method.lower()}">{method}</span>'


def _parameters(operation: Json, document: Json) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<h4>Parameters</h4>"
        yield _fields(
            Row(
                each["name"],
                f"{words(each['schema'], document)}, in the {each['in']}",
                need="required" if each.get("required") else "",
                description=each.get("description", ""),
            )
            for each in parameters
        )


def _body(operation: Json, document: Json) -> Iterator[str]:
    for media_type, content in (
        operation.get("requestBody", {}).get("content", {}).items()
    ):
        yield f"<h4>Body <small>{escape(media_type)}</small></h4>"
        yield _fields(rows(content["schema"], document, need="required"))


def _answer(status: str, answer: Json, document: Json) -> str:
    answer = resolve(answer, document)
    headers = [_header(name, each) for name, each in answer.get("headers", {}).items()]
    contents = [
        _content(kind, content, document)
        for kind, content in answer.get("content", {}).items()
    ]
    succeeds = status.startswith("2")
    return (
        f"<details{' open' if succeeds else ''}>\n"
        f'<summary><span class="status {"good" if succeeds else "bad"}">{escape(status)}</span> '
        f"{_prose(answer['description'])}</summary>\n{_join([*headers, *contents])}\n</details>"
    )


def _content(media_type: str, content: Json, document: Json) -> str:
    schema, examples = content.get("schema", {}), content.get("examples", {})
    if examples:
        parts = [_code(_json(each["value"])) for each in examples.values()]
    else:
        parts = [
            _fields(rows(schema, document)),
            _code(_json(example(schema, document))),
        ]
    return _join([f'<p class="quiet">{escape(media_type)}</p>', *parts])


def _header(name: str, header: Json) -> str:
    return f"<p>Header <code>{escape(name)}</code>: {_prose(header.get('description', ''))}</p>"


def _fields(fields: Iterable[Row]) -> str:
    entries = _join(
        f"<div><dt><code>{_breakable(each.name)}</code>"
        f"{' <strong>' + escape(each.need) + '</strong>' if each.need else ''}</dt>"
        f"<dd>{escape(each.kind)}{'. ' + _prose(each.description) if each.description else ''}</dd></div>"
        for each in fields
    )
    return f"<dl>\n{entries}\n</dl>" if entries else ""


def _curl(operation: Json, document: Json, base: str) -> str:
    path = operation["path"]
    for each in operation.get("parameters", []):
        path = path.replace(
            f"{{{each['name']}}}", str(example(each["schema"], document))
        )
    method = (
        ""
        if operation["method"] in {"get", "post"}
        else f" -X {operation['method'].upper()}"
    )
    contents = operation.get("requestBody", {}).get("content", {})
    sent = "".join(
        f" \\\n  -H {shlex.quote(f'content-type: {media_type}')}"
        f" \\\n  -d {shlex.quote(json.dumps(example(content['schema'], document), ensure_ascii=False))}"
        for media_type, content in contents.items()
    )
    return f"curl{method} {shlex.quote(base + path)}{sent}"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _code(text: str) -> str:
    # A region that scrolls must be reachable by keyboard.
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _breakable(text: str) -> str:
    return escape(text).replace("/", "/<wbr>").replace(".", ".<wbr>")


def _join(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)
