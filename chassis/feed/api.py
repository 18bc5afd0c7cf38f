"""`GET /events`: the feed as other services read it, page by page, or single events by their ids."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.dapr.tokens import knows_the_secret
from chassis.feed.feed import MOST, Cursor, Form, Stretch, read, read_by_ids

MOST_BY_ID = 100
"""Events that can be asked for by their ids at once: as many ids as fit into one URL."""

router = APIRouter(include_in_schema=False, dependencies=[Depends(knows_the_secret)])


class Asked(BaseModel):
    """What the feed is asked for: a stretch of a topic, or events of it by their ids.

    A `reader` has taken in what is up to `after`, which is no longer kept for it.
    """

    model_config = ConfigDict(frozen=True)

    topic: str = Field(pattern=r"^\w{1,200}$")
    after: str = ""
    until: str = ""
    limit: int = Field(MOST, ge=0, le=MOST)
    reader: str = Field("", pattern=r"^\w{0,200}$")
    anew: bool = False
    form: Form = Form.FULL
    id: list[Annotated[str, Field(pattern=r"^[^\x00]{1,200}$")]] = Field(
        [], max_length=MOST_BY_ID
    )

    def stretch(self) -> Stretch:
        """Give the stretch that is asked for; raises MalformedCursor."""
        after, until = _cursor(self.after), _cursor(self.until)
        return Stretch(
            *(self.topic, after, until, self.limit),
            reader=self.reader,
            anew=self.anew,
            form=self.form,
        )


@router.get("/events")
async def get_events(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Give a page of the feed: {"events": […], "next": cursor, "end": cursor}, oldest first.

    An event is JSON as it was stored, or [id, digest in hex] with form=ids ("" where there is none).
    Asked by ids, it gives {"events": {id: event}} in full, without what is not there.
    """
    database = request.app.state.database
    if asked.id:
        async with database.read() as session:
            found = await read_by_ids(session, asked.topic, asked.id)
        members = (f"{json.dumps(each)}:{event}" for each, event in found.items())
        return _answer(f'{{"events":{{{",".join(members)}}}}}')
    stretch = asked.stretch()
    # Given back before the next one is taken: many at once that each kept one connection and waited for
    # another would hold each other up, as after a standstill, and the retries of those who asked for ever.
    async with database.read() as session:
        page = await read(session, stretch)
    if asked.reader:
        place = stretch.after.place if stretch.after else None
        readers = request.app.state.readers
        await readers.acknowledge(asked.reader, asked.topic, place)
    # The events are JSON already, and go out as they were stored.
    return _answer(
        f'{{"events":[{",".join(page.events)}],'
        f'"next":{_as_json(page.next)},"end":{_as_json(page.end)}}}'
    )


def _cursor(written: str) -> Cursor | None:
    return Cursor.read(written) if written else None


def _as_json(cursor: Cursor | None) -> str:
    return json.dumps(str(cursor) if cursor else None)


def _answer(body: str) -> Response:
    return Response(body, media_type="application/json")
