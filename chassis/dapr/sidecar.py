"""The one way out of a service: its Dapr sidecar, over HTTP on the loopback interface."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from chassis.dapr.bindings import (
    OutcomeUnknown,
    check_posted,
    daprds_error,
    said,
)
from chassis.dapr.wire import (
    Answer,
    Call,
    HttpWire,
    NotAnswered,
    NotConnected,
    Wire,
)
from chassis.runtime.telemetry import current, traceparent_or_new

_JSON = {"content-type": "application/json"}


class SidecarUnavailable(Exception):
    """The sidecar, or the broker or service behind it, is unavailable at the moment."""


class PublishRejected(Exception):
    """The sidecar refuses this request as a whole; repeated unchanged it will be refused again."""


UNREADABLE = "ERR_PUBSUB_CLOUD_EVENTS_SER"
"""daprd's error, with status 500, for an event that is JSON but no object."""
NO_BULK = "pubsub bulk is not found"
"""What daprd before 1.17, which knows bulk as an alpha alone, makes of its stable path."""


@dataclass(frozen=True)
class Entry:
    """One event to publish: its id, and the finished CloudEvent as JSON."""

    id: str
    event: str


class Sidecar:
    """Dapr's HTTP API at `url` (http://127.0.0.1:3500); no call takes longer than `deadline` seconds.

    A binding has longer: a slow mail server still takes the mail, and who hangs up never learns of it. `token`
    is the sidecar's own (Dapr: DAPR_API_TOKEN). Where the service is traced, each call carries its trace context,
    or one that is not recorded: daprd would begin a trace with each of its own.
    """

    is_traced = False
    _bulk = "/v1.0/publish/bulk"

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        deadline: float = 10.0,
        send_deadline: float = 30.0,
        wire: Wire | None = None,
    ) -> None:
        self._deadline = deadline
        self._send_deadline = send_deadline
        self._wire = wire or HttpWire(url)
        self._token = {"dapr-api-token": token} if token else {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()

    async def publish(
        self, pubsub: str, topic: str, entries: Sequence[Entry]
    ) -> dict[str, str]:
        """Publish events in bulk; return the reasons of those that were refused, by event id.

        An empty result means that the broker has all of them. Raises SidecarUnavailable where it accepted
        none or the outcome is unknown, and PublishRejected where the sidecar refuses the request itself. Over
        HTTP because the SDK's publish_events hides the entry ids that it makes: a failure would not name
        its event (Dapr: POST /v1.0/publish/bulk/{pubsub}/{topic}).
        """
        path, body = f"/{pubsub}/{topic}", _body(entries)
        answer = await self._call(Call("POST", self._bulk + path, body, _JSON))
        if answer.status == 404 and NO_BULK in answer.text:
            self._bulk = "/v1.0-alpha1/publish/bulk"
            answer = await self._call(Call("POST", self._bulk + path, body, _JSON))
        if answer.status == 204:
            return {}
        failed = _failed_entries(answer)
        if failed:
            return failed
        if answer.status == 400 or UNREADABLE in answer.text:
            raise PublishRejected(answer.text)
        raise SidecarUnavailable(
            f"publishing was answered {answer.status} {said(answer.text)}"
        )

    async def metadata(self) -> dict[str, Any]:
        """Return what the sidecar has loaded: components, subscriptions (Dapr: GET /v1.0/metadata)."""
        answer = await self._call(Call("GET", "/v1.0/metadata"))
        try:
            metadata = answer.json() if answer.status == 200 else None
        except ValueError:
            metadata = None
        if not isinstance(metadata, dict):
            raise SidecarUnavailable(f"its metadata was answered {answer.status}")
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
        asked = [
            (name, each)
            for name, values in query.items()
            for each in ([values] if isinstance(values, str) else values)
        ]
        call = Call("GET", f"/v1.0/invoke/{app_id}/method/{path}", None, headers, asked)
        if body is not None:
            with_json = {**headers, **_JSON}
            call = replace(
                call, method="POST", body=json.dumps(body), headers=with_json
            )
        answer = await self._call(call)
        if not _is_complete(answer) or (
            answer.status >= 400 and daprds_error(answer.text)
        ):
            raise SidecarUnavailable(
                f"{app_id} was not reached: {answer.status} {said(answer.text)}"
            )
        return answer

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

    async def invoke(self, binding: str, body: Mapping[str, object]) -> Answer:
        """Invoke an output binding once, and return the sidecar's answer (Dapr: POST /v1.0/bindings/{binding}).

        Raises SidecarUnavailable where it was certainly not invoked, and OutcomeUnknown where that is unknown,
        as it is when this call is cancelled.
        """
        call = Call("POST", f"/v1.0/bindings/{binding}", json.dumps(body), _JSON)
        try:
            return await self._carry(call, self._send_deadline)
        except NotConnected as error:
            raise _unanswered(error) from error
        except (NotAnswered, TimeoutError) as error:
            raise OutcomeUnknown(f"no answer ({_why(error)})", pending=True) from error

    async def _call(self, call: Call) -> Answer:
        try:
            return await self._carry(call, self._deadline)
        except (NotConnected, NotAnswered, TimeoutError) as error:
            raise _unanswered(error) from error

    async def _carry(self, call: Call, deadline: float) -> Answer:
        # The whole call's time, not that between two bytes.
        async with asyncio.timeout(deadline):
            headers = {**call.headers, **self._token}
            if self.is_traced:
                headers["traceparent"] = current.get() or traceparent_or_new()
            return await self._wire.carry(replace(call, headers=headers))


def _unanswered(error: Exception) -> SidecarUnavailable:
    return SidecarUnavailable(f"the sidecar does not answer ({_why(error)})")


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _body(entries: Sequence[Entry]) -> str:
    # The events are JSON already; parsing them to serialize them again would be most of the work.
    items = (
        f'{{"entryId":"{entry.id}","contentType":"application/cloudevents+json","event":{entry.event}}}'
        for entry in entries
    )
    return f"[{','.join(items)}]"


def _failed_entries(answer: Answer) -> dict[str, str]:
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
