"""A wire to a sidecar that is an httpx transport: to an app in this process, or one that a test writes."""

from dataclasses import dataclass

import httpx

from chassis.dapr.wire import Answer, Call, NotAnswered, NotConnected


@dataclass(frozen=True)
class Carried:
    """Carries calls over an httpx transport."""

    transport: httpx.AsyncBaseTransport

    async def carry(self, call: Call) -> Answer:
        """Return the answer to a call; raises NotConnected, NotAnswered."""
        request = httpx.Request(
            call.method,
            f"http://sidecar{call.path}",
            params=[*call.query],
            headers=dict(call.headers),
            content=call.body,
        )
        try:
            answer = await self.transport.handle_async_request(request)
            body = await answer.aread()
        except httpx.ConnectError as error:
            raise NotConnected("no connection") from error
        except httpx.HTTPError as error:
            raise NotAnswered(type(error).__name__) from error
        return Answer(answer.status_code, body, answer.headers)

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.aclose()
