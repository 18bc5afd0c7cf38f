"""A page of a feed as it was answered, and what is wrong with it: a broken one is refused whole."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chassis.dapr.sidecar import Answer, SidecarUnavailable
from chassis.feed.feed import Cursor, MalformedCursor

Json = dict[str, Any]
Digest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
Id = Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,200}$")]
Short = Annotated[tuple[Id, Digest], Field(strict=False)]


@dataclass(frozen=True)
class Listed:
    """An event of a page: its id, its digest (empty where it is not known), and itself on a full page."""

    id: str
    digest: bytes = b""
    event: Json | None = None


class Page(BaseModel):
    """A page of a feed, as it is answered: events in full, or their ids and digests alone."""

    model_config = ConfigDict(strict=True, frozen=True)

    events: list[Json] | list[Short]
    next: str | None
    end: str | None

    def listed(self) -> list[Listed]:
        """Give its events in order."""
        return [_listed(each) for each in self.events]


class Found(BaseModel):
    """Events by their ids."""

    model_config = ConfigDict(strict=True, frozen=True)

    events: dict[str, Json]


def read_page(answer: Answer, source: str, known: str | None) -> Page:
    """Read an answer; raises SidecarUnavailable where it is no page that leads on from `known`."""
    try:
        page = Page.model_validate(answer.json())
        _check(page, known)
    except (ValueError, MalformedCursor) as error:
        raise _no_page(source, "page of events", error) from error
    return page


def read_found(answer: Answer, source: str, asked: set[str]) -> dict[str, Json]:
    """Read events that were asked for by ids; raises SidecarUnavailable where it is not all of them."""
    try:
        found = Found.model_validate(answer.json()).events
    except ValueError as error:
        raise _no_page(source, "events", error) from error
    if found.keys() != asked:
        raise SidecarUnavailable(f"the feed of {source} gave other events than asked")
    return found


def _no_page(source: str, what: str, error: Exception) -> SidecarUnavailable:
    said = f"the feed of {source} was answered with no {what} ({type(error).__name__})"
    return SidecarUnavailable(said)


def _listed(event: Json | tuple[str, str]) -> Listed:
    if isinstance(event, tuple):
        return Listed(event[0], bytes.fromhex(event[1]))
    # What is no id, or none that a database takes, is in no inbox: the event becomes a dead letter.
    given = event.get("id")
    is_one = isinstance(given, str) and given.isprintable()
    return Listed(given if is_one and given else "", event=event)


def _check(page: Page, known: str | None) -> None:
    read, onward, end = (
        Cursor.read(each) if each is not None else None
        for each in (known, page.next, page.end)
    )
    if len({each.feed for each in (read, onward, end) if each}) > 1:
        raise ValueError("it is of two feeds")
    # A cursor that led back, or nowhere, would be kept, and what comes after it never asked for.
    leads_on = onward is not None and (read is None or onward.place > read.place)
    if not leads_on and (onward != read or page.events):
        raise ValueError("it does not lead on")
