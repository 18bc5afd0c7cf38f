"""The one way out of a service: its Dapr sidecar, over HTTP on the loopback interface."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import httpx

from chassis.dapr.bindings import (
    Answered,
    OutcomeUnknown,
    check_posted,
    daprds_error,
)


class SidecarUnavailable(Exception):
    """The sidecar, or the broker or service behind it, is unavailable at the moment."""


class PublishRejected(Exception):
    """The sidecar refuses this request as a whole; repeated unchanged it will be refused again."""


NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What httpx raises when there was no connection on which a request could have left."""

UNREADABLE = "ERR_PUBSUB_CLOUD_EVENTS_SER"
"""daprd's error, with status 500, for an event that is JSON but no object."""


@dataclass(frozen=True)
class Entry:
    """One event to publish: its id, and the finished CloudEvent as JSON."""

    id: str
    event: str


@dataclass(frozen=True)
class Answer:
    """What another service answered: its status, and complete JSON."""

    status: int
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON may be anything
        """Return the body, parsed."""
        return self._document

    @cached_property
    def _document(self) -> Any:  # noqa: ANN401 - JSON may be anything
        return json.loads(self.body)


class Sidecar:
    """Dapr's HTTP API at `url` (http://127.0.0.1:3500); no call takes longer than `deadline` seconds.

    A binding has longer: a slow mail server still takes the mail, and who hangs up never learns of it. `token`
    is the sidecar's own (Dapr: DAPR_API_TOKEN).
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        deadline: float = 10.0,
        send_deadline: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._deadline = deadline
        self._send_deadline = send_deadline
        # Proxies of the environment are for the world outside, not for the sidecar.
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"dapr-api-token": token} if token else {},
            timeout=None,  # noqa: S113 - `_call` limits the call as a whole
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def publish(
        self, pubsub: str, topic: str, entries: Sequence[Entry]
    ) -> dict[str, str]:
        """Publish events in bulk; return the reasons of those that were refused, by event id.

        An empty result means that the broker has all of them. Raises SidecarUnavailable where it accepted
        none or the outcome is unknown, and PublishRejected where the sidecar refuses the request itself. Over
        HTTP because the SDK's publish_events hides the entry ids that it makes: a failure would not name
        its event (Dapr: POST /v1.0/publish/bulk/{pubsub}/{topic}).
        """
        request = self._post(f"/v1.0/publish/bulk/{pubsub}/{topic}", _body(entries))
        answer = await self._call(request)
        if answer.status_code == 204:
            return {}
        failed = _failed_entries(answer)
        if failed:
            return failed
        if answer.status_code == 400 or UNREADABLE in answer.text:
            raise PublishRejected(answer.text)
        raise SidecarUnavailable(
            f"publishing was answered {answer.status_code} {answer.text[:200]}"
        )

    async def metadata(self) -> dict[str, Any]:
        """Return what the sidecar has loaded: components, subscriptions (Dapr: GET /v1.0/metadata)."""
        answer = await self._call(self._http.build_request("GET", "/v1.0/metadata"))
        try:
            metadata = answer.json() if answer.status_code == 200 else None
        except ValueError:
            metadata = None
        if not isinstance(metadata, dict):
            raise SidecarUnavailable(f"its metadata was answered {answer.status_code}")
        return metadata

    async def ask(
        self,
        app_id: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]],
        headers: Mapping[str, str],
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        """Return what another service answers to a GET, or with a body to a POST, whatever the status.

        Raises SidecarUnavailable where the service was not reached, and where its answer is incomplete: when
        a service or its sidecar dies, daprd passes on what it has so far, even nothing, as a good answer
        without a length. Only JSON shows where it ends (Dapr: /v1.0/invoke/{app_id}/method/{path}).
        """
        url = f"/v1.0/invoke/{app_id}/method/{path}"
        method = "GET" if body is None else "POST"
        answer = await self._call(
            self._http.build_request(
                method, url, params=query, headers=headers, json=body
            )
        )
        given = Answer(answer.status_code, answer.content)
        if not _is_complete(given) or (
            given.status >= 400 and daprds_error(answer.text)
        ):
            raise SidecarUnavailable(
                f"{app_id} was not reached: {given.status} {answer.text[:500]}"
            )
        return given

    async def post(
        self, binding: str, data: Mapping[str, object], headers: Mapping[str, str]
    ) -> None:
        """Post JSON through an output binding of HTTP, once; return when it was answered 2xx.

        `headers` are the request's, each beginning with a capital. Raises BindingRefused too, and what `invoke`
        raises. daprd is asked not to reuse a connection: on a reused one Go repeats a request by itself, and
        the error would be that of the repetition only.
        """
        asked = {"errorIfNot2XX": "false", "Connection": "close", **headers}
        body = {"operation": "post", "data": dict(data), "metadata": asked}
        check_posted(binding, await self.invoke(binding, body))

    async def invoke(self, binding: str, body: Mapping[str, object]) -> Answered:
        """Invoke an output binding once, and return the sidecar's answer (Dapr: POST /v1.0/bindings/{binding}).

        Raises SidecarUnavailable where it was certainly not invoked, and OutcomeUnknown where that is unknown,
        as it is when this call is cancelled.
        """
        request = self._post(f"/v1.0/bindings/{binding}", json.dumps(body))
        try:
            answer = await self._exchange(request, self._send_deadline)
        except NEVER_LEFT as error:
            raise _unanswered(error) from error
        except (httpx.HTTPError, TimeoutError) as error:
            reason = f"no answer ({type(error).__name__})"
            raise OutcomeUnknown(reason, pending=True) from error
        return Answered(answer.status_code, answer.text, answer.headers)

    def _post(self, path: str, body: str) -> httpx.Request:
        headers = {"content-type": "application/json"}
        return self._http.build_request("POST", path, content=body, headers=headers)

    async def _call(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._exchange(request, self._deadline)
        except (httpx.HTTPError, TimeoutError) as error:
            raise _unanswered(error) from error

    async def _exchange(
        self, request: httpx.Request, deadline: float
    ) -> httpx.Response:
        # The whole call's time: httpx would count the time between two bytes.
        async with asyncio.timeout(deadline):
            return await self._http.send(request)


def _unanswered(error: Exception) -> SidecarUnavailable:
    return SidecarUnavailable(f"the sidecar does not answer ({type(error).__name__})")


def _body(entries: Sequence[Entry]) -> str:
    # The events are JSON already; parsing them to serialize them again would be most of the work.
    items = (
        f'{{"entryId":"{entry.id}","contentType":"application/cloudevents+json","event":{entry.event}}}'
        for entry in entries
    )
    return f"[{','.join(items)}]"


def _failed_entries(answer: httpx.Response) -> dict[str, str]:
    try:
        failed = answer.json().get("failedEntries") or []
    except (ValueError, AttributeError):
        return {}
    return {entry["entryId"]: entry.get("error", "") for entry in failed}


def _is_complete(answer: Answer) -> bool:
    # A number or a word that is cut off may still be one; an object or an array is not.
    try:
        return isinstance(answer.json(), dict | list)
    except ValueError:
        return False
