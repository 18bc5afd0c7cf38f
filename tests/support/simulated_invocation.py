"""The simulated sidecar's service invocation: one app invokes another, which runs in this process."""

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from tests.support.in_process import InProcess


async def invoke(request: Request, app: ASGIApp | None, *, is_down: bool) -> Response:
    """Forward a GET to an app; what the app leaves unfinished is its answer so far, as with daprd."""
    if request.method != "GET":
        raise NotImplementedError("invocations other than GET")
    app_id = request.path_params["app_id"]
    if app is None:
        return _not_reached(app_id, "no host found with the given ID")
    if is_down:
        why = "dial tcp: connect: connection refused"
        return _not_reached(app_id, f"error invoking app channel: {why}")
    url = httpx.URL("http://app/" + request.path_params["path"])
    url = url.copy_with(query=request.scope["query_string"])
    forwarded = httpx.Request("GET", url, headers=request.headers)
    answer = await InProcess(app, quiet=True).handle_async_request(forwarded)
    kept = {"content-type": answer.headers.get("content-type", "application/json")}
    return Response(answer.content, answer.status_code, kept)


def _not_reached(app_id: str, why: str) -> Response:
    message = f"failed to invoke, id: {app_id}, err: {why}"
    return JSONResponse({"errorCode": "ERR_DIRECT_INVOKE", "message": message}, 500)
