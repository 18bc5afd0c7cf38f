"""The API of dead letters: listed, shown as they came, and discarded by somebody for a reason."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from chassis.dead_letters.history import LARGEST_ID
from chassis.inbox import Status
from chassis.inbox.dead_letter import State, dead_letter
from chassis.inbox.parse import REMEMBERED
from chassis.inbox.reaction import inbox
from chassis.runtime import clock
from chassis.service.retention import delete_old_inbox_keys
from tests.chassis.dead_letters.letters import REACTION, WHY, Letters, is_refused
from tests.support.delivering import CAUSE, order_created, signed

OPEN, REPLAYED = State.OPEN, State.REPLAYED


async def test_one_letter_is_shown_with_what_came_and_its_trace(
    letters: Letters,
) -> None:
    first = order_created()
    second = signed({**first, "id": "second"})
    await letters.receive(first, second)

    letter = await letters.shown(1)

    assert json.loads(letter.pop("body")) == second
    assert letter.pop("receivedAt").endswith("Z")
    assert "unique" in letter.pop("reason").lower()
    assert len(letter.pop("fingerprint")) == 16
    assert letter == {
        **dict.fromkeys(["replayedAt", "discardedAt", "discardedBy"]),
        "id": 1,
        "reaction": REACTION,
        "state": "OPEN",
        "authentic": True,
        "attempts": 1,
        "eventId": "second",
        "traceparent": CAUSE,
        "discardedBecause": None,
        "edited": None,
    }


async def test_what_is_no_text_is_shown_as_it_came(letters: Letters) -> None:
    await letters.receive(b'{"name": "J\xc3\xb6rg \xff\xfe\0"}')

    (shown,) = (await letters.listed())["items"]

    assert shown["body"] == '{"name": "Jörg \\xff\\xfe\0"}'
    assert "Invalid JSON" in shown["reason"]
    assert (shown["state"], shown["authentic"]) == ("OPEN", False)


@pytest.mark.parametrize(
    ("body", "trace"),
    [
        (b"\xff", None),
        (b"[7]", None),
        (b"{}", None),
        (b"[" * 60_000, None),
        (b'{"traceparent": 7}', None),
        (b'{"traceid": "a-trace"}', "a-trace"),
        (b'{"traceparent": "one", "traceid": "other"}', "one"),
        (b'{"traceparent": "\\ud800\\u0000\\n"}', r"\xd800\x00"),
    ],
)
async def test_a_trace_is_shown_where_there_is_one(
    letters: Letters, body: bytes, trace: str | None
) -> None:
    letter = await letters.kept(body)

    assert (await letters.shown(letter))["traceparent"] == trace


async def test_letters_of_one_reaction_come_newest_first_a_page_at_a_time(
    letters: Letters,
) -> None:
    for number in range(5):
        await letters.kept(b"-", "another")
        await letters.kept(str(number).encode())
    query = f"?reaction={REACTION}&limit=2"

    first = await letters.listed(query)
    second = await letters.listed(f"{query}&cursor={first['next']}")
    last = await letters.listed(f"{query}&cursor={second['next']}")

    pages = [[each["body"] for each in page["items"]] for page in (first, second, last)]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]
    assert last["next"] is None


async def test_letters_of_one_state_are_listed_alone(letters: Letters) -> None:
    opened, (replayed, _) = await letters.kept(b"-"), await letters.kept_event()
    await letters.replay(replayed)

    for state, letter in ((OPEN, opened), (REPLAYED, replayed)):
        (shown,) = (await letters.listed(f"?state={state}"))["items"]
        assert shown["id"] == letter


@pytest.mark.parametrize(
    "query",
    [
        *("state=GONE", "limit=0", "limit=201", "cursor=-1", "cursor=x"),
        *(f"cursor={LARGEST_ID + 1}", "reaction=", "reaction=a%00b"),
        *("status=OPEN", "q=1"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(letters: Letters, query: str) -> None:
    answer = await letters.http.get(f"/api/dead-letter?{query}")

    detail = is_refused(answer, 422, "invalid-request")
    assert detail.startswith(f"{query.partition('=')[0]}: ")


async def test_a_letter_that_is_discarded_says_who_when_and_why(
    letters: Letters,
) -> None:
    letter, _ = await letters.kept_event()

    answer = await letters.discard(letter)

    assert answer.status_code == 200
    shown = await letters.shown(letter)
    # Without what is in it: answers are stored with their keys.
    said = ("id", "state", "discardedAt", "discardedBy", "discardedBecause")
    assert answer.json() == {each: shown[each] for each in said}
    assert (shown["state"], shown["discardedBy"]) == ("DISCARDED", "jane")
    assert shown["discardedBecause"] == "A test of the broker"
    assert shown["discardedAt"].endswith("Z")
    assert await letters.greeted() == []


async def test_what_is_settled_stays_as_it_is(letters: Letters) -> None:
    discarded, _ = await letters.kept_event()
    replayed, _ = await letters.kept_event()
    await letters.discard(discarded)
    await letters.replay(replayed)
    before = await letters.everything()

    for letter, state in ((discarded, "DISCARDED"), (replayed, "REPLAYED")):
        for answer in (
            await letters.discard(letter),
            await letters.replay(letter),
            await letters.replay(letter, "?dryRun=true"),
        ):
            detail = is_refused(answer, 409, "already-settled")
            assert detail == f"Dead letter {letter} is {state} already."

    assert await letters.everything() == before


async def test_the_event_of_a_letter_that_is_discarded_is_not_handled_again(
    letters: Letters,
) -> None:
    first = order_created()
    second = signed({**first, "id": "second"})
    await letters.receive(first, second)
    await letters.discard(1)
    before = await letters.everything()

    assert await letters.receive(second) == [Status.SUCCESS]

    assert await letters.everything() == before
    assert len(await letters.rows(inbox.c.event_id)) == 2


@pytest.mark.parametrize("letter", [7, 0, -1, 10**30])
async def test_what_is_not_there_is_neither_shown_nor_discarded(
    letters: Letters, letter: int
) -> None:
    answer = await letters.http.get(f"/api/dead-letter/{letter}")

    assert is_refused(answer, 404, "dead-letter-not-found")
    is_refused(await letters.discard(letter), 404, "dead-letter-not-found")


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], None, {"reason": "x"}, {"by": "jane"}, {**WHY, "more": 1}),
        *({**WHY, "reason": each} for each in ("", " ", 7, None, "a\nb", "a\0b")),
        *({**WHY, "by": each} for each in ("", "x" * 256, ["jane"])),
        {**WHY, "reason": "x" * 1001},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_nobody_discards_without_a_name_and_a_reason(
    letters: Letters, body: object
) -> None:
    letter, _ = await letters.kept_event()

    is_refused(await letters.discard(letter, json=body), 422, "invalid-request")

    assert (await letters.shown(letter))["state"] == "OPEN"


async def test_of_many_who_settle_a_letter_at_once_one_wins(letters: Letters) -> None:
    letter, _ = await letters.kept_event()

    answers = await asyncio.gather(
        *(letters.discard(letter) for _ in range(4)),
        *(letters.replay(letter) for _ in range(4)),
    )

    assert sorted(each.status_code for each in answers) == [200] + [409] * 7


async def test_a_letter_is_discarded_once_for_each_key(letters: Letters) -> None:
    letter, _ = await letters.kept_event()
    key = {"idempotency-key": "a"}

    first, again = [await letters.discard(letter, headers=key) for _ in range(2)]

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()


async def test_the_key_of_a_letter_is_kept_as_long_as_the_letter(
    letters: Letters,
) -> None:
    """However long ago that was: until then its event is not handled otherwise."""
    first = order_created()
    others = [signed({**first, "id": each}) for each in ("open", "discarded")]
    await letters.receive(first, *others)
    await letters.discard(2)
    long_ago = update(inbox).values(
        handled_at=clock.now() - REMEMBERED - timedelta(days=30)
    )

    async def swept() -> set[str]:
        await letters.database.write(lambda session: session.execute(long_ago))
        await letters.database.write(delete_old_inbox_keys)
        return {row.event_id for row in await letters.rows(inbox.c.event_id)}

    assert await swept() == {"open", "discarded"}
    mine = delete(dead_letter).where(dead_letter.c.event_id == "discarded")
    await letters.database.write(lambda session: session.execute(mine))
    assert await swept() == {"open"}
