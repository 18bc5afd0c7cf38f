"""A page of a feed as it was answered, and what is wrong with it: a broken one is refused whole."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from chassis.feed import Cursor, MalformedCursor
from chassis.sidecar import Answer, SidecarUnavailable


class Page(BaseModel):
    """A page of a feed, as it is answered."""

    model_config = ConfigDict(strict=True, frozen=True)

    events: list[dict[str, Any]]
    next: str | None
    end: str | None


def read_page(answer: Answer, source: str, known: str | None) -> Page:
    """Read an answer; raises SidecarUnavailable where it is no page that leads on from `known`."""
    try:
        page = Page.model_validate(answer.json())
        _check(page, known)
    except (ValueError, MalformedCursor) as error:
        raise SidecarUnavailable(
            f"the feed of {source} was answered with no page of events ({type(error).__name__})"
        ) from error
    return page


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
