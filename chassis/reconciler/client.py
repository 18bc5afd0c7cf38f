"""Another service's feed, asked for through Dapr: page by page, or single events by their ids."""

from collections.abc import Collection
from dataclasses import dataclass

from chassis.dapr.sidecar import Answer, Sidecar, SidecarUnavailable
from chassis.event import Event
from chassis.feed.consumers import ReaderWentBack
from chassis.feed.feed import FeedChanged, FeedGone, Form
from chassis.reconciler.page import Json, Page, read_found, read_page


class AnotherFeed(Exception):
    """The place that was asked after is not in this feed: it is another one, or an older one."""


class TakenInBefore(Exception):
    """The reader asks after a place that it was beyond already."""


@dataclass(frozen=True)
class FeedClient:
    """Reads the feed of the service that says an event, as `reader`, with the secret of the services."""

    sidecar: Sidecar
    event: type[Event]
    reader: str
    secret: str

    async def page(
        self,
        after: str | None,
        until: str | None,
        limit: int,
        form: Form,
        *,
        anew: bool,
    ) -> Page:
        """Give up to `limit` events after one cursor and not beyond another, and acknowledge the first.

        Raises AnotherFeed, TakenInBefore, and SidecarUnavailable, where it is to be asked again later.
        """
        query = {"reader": self.reader, "after": after or "", "until": until or ""}
        more = {"limit": str(limit), "form": form, **({"anew": "true"} if anew else {})}
        answer = await self._ask({**query, **more})
        if answer.status != 200:
            raise _told_off(answer) or self._no_feed(answer)
        return read_page(answer, self.event.source, after)

    async def end(self) -> str | None:
        """Give the newest place, as nobody in particular; None of an empty feed."""
        answer = await self._ask({"limit": "0"})
        if answer.status != 200:
            raise self._no_feed(answer)
        return read_page(answer, self.event.source, None).end

    async def events(self, ids: Collection[str]) -> dict[str, Json]:
        """Give these events in full, MOST_BY_ID at most; raises SidecarUnavailable where one is missing."""
        answer = await self._ask({"id": list(ids)})
        if answer.status != 200:
            raise self._no_feed(answer)
        return read_found(answer, self.event.source, set(ids))

    async def _ask(self, query: dict[str, str | list[str]]) -> Answer:
        headers = {"authorization": f"Bearer {self.secret}"}
        asked = {"topic": self.event.topic(), **query}
        source = self.event.source
        return await self.sidecar.ask(source, "events", query=asked, headers=headers)

    def _no_feed(self, answer: Answer) -> SidecarUnavailable:
        said = f"the feed of {self.event.source} was answered {answer.status}"
        return SidecarUnavailable(said)


def _told_off(answer: Answer) -> Exception | None:
    said = answer.json()
    problem = said.get("type") if isinstance(said, dict) else None
    if problem in (FeedChanged.type(), FeedGone.type()):
        return AnotherFeed(said.get("detail"))
    if problem == ReaderWentBack.type():
        return TakenInBefore(said.get("detail"))
    return None
