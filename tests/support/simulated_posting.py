"""The simulated sidecar's HTTP binding: daprd's answer to each thing that a mail API may do."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.support.mail_api import PATH, Deed, MailApi, words
from tests.support.simulated_bindings import LARGEST, failure, too_large, unsupported

OPERATIONS = "create get head post put patch delete options trace"
OWN = {"errorIfNot2XX", "path"}
"""The metadata that daprd uses itself."""
WAITS = 20.0
"""Seconds that daprd waits for an answer: `responseTimeout` in components/mail/api/email.yaml."""


async def post(request: Request, api: MailApi, *, is_down: bool) -> Response:
    """Post to a mail API; `is_down` where its server does not run."""
    body, name = await request.body(), request.path_params["name"]
    if len(body) > LARGEST:
        return too_large()
    request_body = json.loads(body)
    if request_body["operation"] not in OPERATIONS.split():
        return unsupported(name, request_body["operation"], OPERATIONS)
    if request_body["operation"] not in {"post", "create"}:
        raise NotImplementedError("anything but POST")
    url = f"http://127.0.0.1:8025{PATH}"
    if is_down:
        why = "dial tcp 127.0.0.1:8025: connect: connection refused"
        return failure(name, f'Post "{url}": {why}')
    deed = api.take(_headers(request_body["metadata"]), _data(request_body["data"]))
    await asyncio.sleep(min(deed.delay, WAITS))
    if deed.drop or deed.delay > WAITS:
        why = "EOF" if deed.drop else "context deadline exceeded"
        return failure(name, f'Post "{url}": {why}')
    return _answer(
        name, deed, is_error=request_body["metadata"].get("errorIfNot2XX") != "false"
    )


def _headers(metadata: dict[str, str]) -> dict[str, str]:
    if OWN & metadata.keys() - {"errorIfNot2XX"}:
        raise NotImplementedError("paths")
    capital = {name: value for name, value in metadata.items() if name[0].isupper()}
    if capital and capital.get("Connection") != "close":
        raise NotImplementedError("connections that are used twice: daprd tries again")
    return {name.lower(): value for name, value in capital.items()}


def _data(data: Any) -> bytes:  # noqa: ANN401 - JSON may be anything
    return json.dumps(data).encode()


def _answer(name: str, deed: Deed, *, is_error: bool) -> Response:
    if deed.location:
        raise NotImplementedError("redirections: daprd follows them")
    status = HTTPStatus(deed.status)
    metadata = {
        "metadata.statuscode": str(status.value),
        "metadata.status": f"{status.value} {status.phrase}",
    }
    if is_error and not 200 <= status < 300:
        answer = failure(name, f"received status code {status.value}")
        answer.headers.update(metadata)
        return answer
    return Response(words(deed), 200, metadata)
