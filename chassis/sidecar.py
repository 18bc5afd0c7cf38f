"""The one way out of a service: its Dapr sidecar, over HTTP on the loopback interface."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx


class SidecarUnavailable(Exception):
    """The sidecar, or the broker behind it, takes nothing at the moment."""


class PublishRejected(Exception):
    """The sidecar refuses this request as a whole, and says that trying again as it is will not help."""


UNREADABLE = "ERR_PUBSUB_CLOUD_EVENTS_SER"
"""What daprd says, with status 500, of an event that is JSON but no object."""


@dataclass(frozen=True)
class Entry:
    """One event to publish: its id, and the finished CloudEvent as JSON."""

    id: str
    event: str


class Sidecar:
    """Dapr's HTTP API at `url` (http://127.0.0.1:3500); no call takes longer than `deadline` seconds."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._deadline = deadline
        # Proxies of the environment are for the world outside, not for the sidecar.
        self._http = httpx.AsyncClient(
            base_url=url,
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
        """Publish events in bulk and give the reasons of those that were refused, by event id.

        An empty answer means that the broker has all. Raises SidecarUnavailable where nothing was taken, or
        where the outcome is unknown, and PublishRejected where the sidecar refuses the request itself. Over
        HTTP because the SDK's publish_events makes the entry ids itself and keeps them: a failure would
        not tell which event it was (Dapr: POST /v1.0/publish/bulk/{pubsub}/{topic}).
        """
        answer = await self._call(
            "POST", f"/v1.0/publish/bulk/{pubsub}/{topic}", _body(entries)
        )
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
        """Give what the sidecar has loaded: components, subscriptions (Dapr: GET /v1.0/metadata)."""
        answer = await self._call("GET", "/v1.0/metadata")
        try:
            metadata = answer.json() if answer.status_code == 200 else None
        except ValueError:
            metadata = None
        if not isinstance(metadata, dict):
            raise SidecarUnavailable(f"its metadata was answered {answer.status_code}")
        return metadata

    async def _call(
        self, method: str, path: str, body: str | None = None
    ) -> httpx.Response:
        headers = {"content-type": "application/json"} if body else None
        try:
            # The whole call's time: httpx would count the time between two bytes.
            async with asyncio.timeout(self._deadline):
                return await self._http.request(
                    method, path, content=body, headers=headers
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise SidecarUnavailable(
                f"the sidecar does not answer ({type(error).__name__})"
            ) from error


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
