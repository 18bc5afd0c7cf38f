"""What the feed refuses: malformed cursors, cursors of another feed, and callers without the secret."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.feed.feed import MAX_ROWS
from tests.support.database import migrated
from tests.support.feeds import SECRET, Feed

FEED = UUID("0198c0de-0000-7000-8000-000000000001")


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


@pytest.mark.parametrize("which", ["after", "until"])
@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        " ",
        "\0",
        "...",
        "0",
        f"{FEED}",
        f"{FEED}.0.1",
        f"{FEED}.0.1.",
        f"{FEED}.0.1.a.b",
        f"{FEED}.0.-1.a",
        f"{FEED}.-0.1.a",
        f"{FEED}.0x0.1.a",
        f"{FEED}.1e3.1.a",
        f"{FEED}. 0.1.a",
        f"{FEED}.0.\u0661.a",
        f"{FEED}.0.{2**63}.a",
        f"{FEED}.{2**63}.1.a",
        f"{FEED}.0.{10**19 - 1}.a",
        f"{FEED}.0.{10**400}.a",
        f"{FEED.hex}.0.1.a",
        f"{str(FEED).upper()}x.0.1.a",
        f"{'-' * 36}.0.1.a",
        f"{'f' * 36}.0.1.a",
        f"{FEED}.0.1.{'a' * 201}",
        f" {FEED}.0.1.a",
        f"{FEED}\n.0.1.a",
        "' OR 1=1 --",
        "x" * 10_000,
    ],
)
async def test_what_is_no_cursor_is_refused(
    feed: Feed, which: str, cursor: str
) -> None:
    refused(await feed.asked(**{which: cursor}), 422, "malformed-cursor")


@pytest.mark.parametrize(
    "cursor",
    [f"{FEED}.0.{2**63 - 1}.a", f"{FEED}.{2**63 - 1}.0.\0", f"{FEED}.0.0.' OR 1=1"],
)
async def test_a_cursor_of_nowhere_is_refused_as_one_of_another_feed(
    feed: Feed, cursor: str
) -> None:
    refused(await feed.asked(after=cursor), 409, "feed-changed")


@pytest.mark.parametrize(
    "query",
    [
        {"limit": -1},
        {"limit": MAX_ROWS + 1},
        {"limit": "x"},
        {"limit": 2**70},
        {"topic": ""},
        {"topic": "\0"},
        {"topic": "x" * 201},
        {"topic": "Order\nCreated"},
        {"topic": "OrderCreated\n"},
        {"consumer": "a_reaction_of_nobody"},
        {"consumer": "/a_reaction"},
        {"consumer": "notification/"},
        {"consumer": f"notification/{'x' * 200}"},
        {"consumer": "notification/a_reaction\n"},
    ],
)
async def test_any_other_bad_query_is_refused(
    feed: Feed, query: dict[str, Any]
) -> None:
    refused(await feed.asked(**query), 422, "invalid-request")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        SECRET,
        f"Basic {SECRET}",
        f"Bearer {SECRET[:-1]}",
        "Bearer \xe9",
    ],
)
async def test_whoever_does_not_know_the_secret_is_refused(
    feed: Feed, authorization: str
) -> None:
    refused(await feed.asked_with(authorization, {}), 401, "secret-missing")


def refused(answer: httpx.Response, status: int, problem: str) -> None:
    """Check that a request was refused like this."""
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:problem-type:{problem}"
