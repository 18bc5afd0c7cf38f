"""Another service's feed, read through Dapr; an answer that is no valid page is refused whole."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chassis.dapr import Answer, Sidecar, SidecarUnavailable
from chassis.errors import Rejected
from chassis.event import Event
from chassis.feed import FeedQuery
from chassis.feed.consumers import CursorRegressed
from chassis.feed.cursor import Cursor, MalformedCursor
from chassis.feed.feed import CursorExpired, FeedChanged

Json = dict[str, Any]
Id = Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,200}$")]
M = TypeVar("M", bound=BaseModel)

_REFUSALS: dict[str, type[Rejected]] = {
    each.type(): each for each in (CursorExpired, CursorRegressed, FeedChanged)
}


class Page(BaseModel):
    """A page of a feed: events in full, or their ids."""

    model_config = ConfigDict(strict=True, frozen=True)

    events: list[Json] | list[Id]
    next: str | None
    high_water_mark: str | None = Field(alias="highWaterMark")
    removed: bool

    def by_id(self) -> dict[str, Json | None]:
        """Return its events by id, in order; None where the page has the id alone."""
        pairs = (
            (each, None) if isinstance(each, str) else (_id_of(each), each)
            for each in self.events
        )
        return dict(pairs)


class Found(BaseModel):
    """Events by their ids."""

    model_config = ConfigDict(strict=True, frozen=True)

    events: dict[str, Json]


@dataclass(frozen=True)
class FeedClient:
    """Reads the feed of the service that publishes an event, with the secret that services share.

    Every method raises SidecarUnavailable where it is to be asked again later.
    """

    sidecar: Sidecar
    event: type[Event]
    secret: str

    async def page(self, query: FeedQuery) -> Page:
        """Return a page; raises CursorRegressed, FeedChanged and CursorExpired, as the feed does."""
        asked = query.model_dump(mode="json", exclude_defaults=True)
        answer = await self._ask({name: str(value) for name, value in asked.items()})
        if answer.status != 200:
            self._refuse(answer)
        page = self._parse(Page, answer)
        try:
            _check(page, query.after)
        except (ValueError, MalformedCursor) as error:
            raise self._broken(str(error)) from error
        return page

    async def high_water_mark(self) -> str | None:
        """Return the newest cursor of the feed, as no consumer; None where the feed is empty."""
        query = FeedQuery(topic=self.event.topic(), limit=0)
        return (await self.page(query)).high_water_mark

    async def events(self, ids: Collection[str]) -> dict[str, Json]:
        """Return these events in full, by id; MAX_IDS at most."""
        found: dict[str, Json] = {}
        # An answer holds as many as fit into it, and at least one.
        while missing := [each for each in ids if each not in found]:
            answer = await self._ask({"topic": self.event.topic(), "id": missing})
            if answer.status != 200:
                self._refuse(answer)
            more = self._parse(Found, answer).events
            if not more or not more.keys() <= set(missing):
                raise self._broken("it has other events than were asked for")
            found |= more
        return found

    async def _ask(self, query: Mapping[str, str | list[str]]) -> Answer:
        headers = {"authorization": f"Bearer {self.secret}"}
        source = self.event.source
        return await self.sidecar.ask(source, "events", query=query, headers=headers)

    def _refuse(self, answer: Answer) -> NoReturn:
        problem = answer.json()
        if isinstance(problem, dict) and problem.get("type") in _REFUSALS:
            raise _REFUSALS[problem["type"]](str(problem.get("detail", "")))
        raise self._broken(f"its status is {answer.status}")

    def _parse(self, model: type[M], answer: Answer) -> M:
        try:
            return model.model_validate(answer.json())
        except ValueError as error:
            raise self._broken(f"it is no {model.__name__}") from error

    def _broken(self, reason: str) -> SidecarUnavailable:
        source = self.event.source
        return SidecarUnavailable(
            f"the feed of {source} answers what is no page: {reason}"
        )


def _id_of(event: Json) -> str:
    # What is no id, or none that a database stores, is in no inbox: the event is not authentic.
    given = event.get("id")
    return given if isinstance(given, str) and given.isprintable() else ""


def _check(page: Page, after: str) -> None:
    known, following, mark = (
        Cursor.parse(each) if each is not None else None
        for each in (after or None, page.next, page.high_water_mark)
    )
    if len({each.feed for each in (known, following, mark) if each}) > 1:
        raise ValueError("it is of two feeds")
    # A cursor that led back, or nowhere, would be kept, and what comes after it never asked for.
    advances = following and (not known or following.offset > known.offset)
    if not advances and (following != known or page.events):
        raise ValueError("its next cursor does not advance")
