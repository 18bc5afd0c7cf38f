"""`GET /events`: the feed as other services read it, page by page, or single events by their ids."""

import json
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field

from chassis.feed.consumers import acknowledge
from chassis.feed.cursor import Cursor, Offset
from chassis.feed.feed import FeedPage, FeedQuery, read_by_ids, read_page
from chassis.http import INTERNAL, Router
from chassis.parts import Parts

MAX_IDS = 100
"""Events that can be asked for by their ids at once: as many ids as fit into one URL."""


class EventsQuery(FeedQuery):
    """A page of a topic, or events of it by their ids."""

    id: list[Annotated[str, Field(pattern=r"^[^\x00]{1,200}$")]] = Field(
        [], max_length=MAX_IDS
    )


def router(parts: Parts) -> Router:
    """Return the route of this service's feed, for whoever knows the feeds' secret."""
    database = parts.database
    made = Router(tags=["Feed"], scope=INTERNAL, in_schema=False)

    @made.get("/events")
    async def get_events(query: Annotated[EventsQuery, Query()]) -> Response:
        if query.id:
            found = await database.read(
                lambda session: read_by_ids(session, query.topic, query.id)
            )
            return _json(_by_ids(found))
        page = await database.read(lambda session: read_page(session, query))
        if page.acknowledges:
            await _acknowledge(parts, query, page.acknowledges)
        return _json(_page(page))

    return made


async def _acknowledge(parts: Parts, query: FeedQuery, offset: Offset) -> None:
    await parts.database.write(
        lambda session: acknowledge(session, query.consumer, query.topic, offset)
    )


# Events are JSON already, and go out as they were stored.
def _page(page: FeedPage) -> str:
    return (
        f'{{"events":[{",".join(page.events)}],"next":{_quoted(page.next)},'
        f'"highWaterMark":{_quoted(page.high_water_mark)},"removed":{json.dumps(page.removed)}}}'
    )


def _by_ids(found: dict[str, str]) -> str:
    members = (f"{json.dumps(each)}:{event}" for each, event in found.items())
    return f'{{"events":{{{",".join(members)}}}}}'


def _quoted(cursor: Cursor | None) -> str:
    return json.dumps(str(cursor) if cursor else None)


def _json(body: str) -> Response:
    return Response(body, media_type="application/json")
