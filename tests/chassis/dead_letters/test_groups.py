"""Groups of dead letters: those that failed alike are counted together, exactly, however they come and go."""

from typing import Any

import pytest
from sqlalchemy import func, select

from chassis.inbox.dead_letter import (
    SAMPLE,
    State,
    dead_letter,
    group,
    what_they_share,
)
from tests.chassis.dead_letters.letters import REACTION, Letters, is_refused
from tests.support.delivering import order_created, signed


async def groups(letters: Letters, query: str = "") -> dict[str, Any]:
    """Return a page of groups."""
    answer = await letters.http.get(f"/api/dead-letter-group{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def counts_are_true(letters: Letters) -> None:
    """Check each group's numbers against its letters."""
    number = select(dead_letter.c.fingerprint, dead_letter.c.state, func.count())
    grouped = number.group_by(dead_letter.c.fingerprint, dead_letter.c.state)
    counted = await letters.database.read(lambda session: [*session.execute(grouped)])
    expected = {(fingerprint, state): count for fingerprint, state, count in counted}
    for row in await letters.rows(group):
        for state in State:
            found = expected.pop((row.fingerprint, state), 0)
            assert getattr(row, state.lower()) == found
    assert expected == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'jane@example.org'", "KeyError: 'joe'"),
        ("01a20727-ad7d-7a6d-8ffc-e0698ef24ad8 is gone", "11a20727-ad7d-7a6d-8ffc-e0698ef24ad9 is gone"),
        ("it has 70000 bytes; 69632 are the most", "it has 90000 bytes; 69632 are the most"),
        ("(x.UniqueViolation) again DETAIL: Key (id)=(7) exists", "(x.UniqueViolation) again"),
        ('no such "Jane Doe"', 'no such "Joe Doe"'),
    ],
)  # fmt: skip
def test_reasons_that_differ_in_their_values_are_one(one: str, other: str) -> None:
    assert what_they_share(one) == what_they_share(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'name'", "ValueError: 'name'"),
        ('violates constraint "order_id_key"', 'violates constraint "mail_id_key"'),
        ("its source is '/elsewhere'", "its source is '/order'"),
    ],
)
def test_reasons_of_another_kind_are_two(one: str, other: str) -> None:
    assert what_they_share(one) != what_they_share(other)


async def test_letters_that_failed_alike_are_counted_together(letters: Letters) -> None:
    first = order_created()
    again = [signed({**first, "id": each}) for each in ("second", "third")]
    await letters.receive(first, *again, b"no JSON")

    garbage, twice = (await groups(letters))["items"]

    assert (garbage["open"], garbage["authentic"]) == (1, False)
    assert (twice["open"], twice["reaction"]) == (2, REACTION)
    assert twice["firstAt"] <= twice["lastAt"] <= garbage["lastAt"]
    listed = await letters.listed(f"?group={twice['fingerprint']}")
    assert [each["id"] for each in listed["items"]] == [2, 1]


async def test_the_numbers_of_a_group_are_true_whatever_becomes_of_its_letters(
    letters: Letters,
) -> None:
    replayed, discarded, restored, _ = [(await letters.kept_event())[0] for _ in "abcd"]
    await letters.replay(replayed)
    for each in (discarded, restored):
        await letters.discard(each)
    again = f"/api/dead-letter/{restored}/restore"
    await letters.http.post(again, json={"reason": "a slip", "by": "joe"})

    await counts_are_true(letters)
    (only,) = (await groups(letters))["items"]
    assert (only["open"], only["replayed"], only["discarded"]) == (2, 1, 1)


async def test_a_group_without_open_letters_is_listed_where_that_is_asked(
    letters: Letters,
) -> None:
    letter, _ = await letters.kept_event()
    await letters.discard(letter)

    assert (await groups(letters))["items"] == []
    (only,) = (await groups(letters, "?settled=true"))["items"]
    assert only["discarded"] == 1


async def test_groups_come_a_page_at_a_time_the_newest_first(letters: Letters) -> None:
    for each in ("a", "b", "c"):
        await letters.kept(b"-", each)

    first = await groups(letters, "?limit=2")
    second = await groups(letters, f"?limit=2&cursor={first['next']}")

    found = [each["reaction"] for page in (first, second) for each in page["items"]]
    assert (found, second["next"]) == (["c", "b", "a"], None)


@pytest.mark.parametrize("query", ["?cursor=x", "?cursor=1-g", "?reaction=", "?q=1"])
async def test_groups_that_cannot_be_asked_for_are_refused(
    letters: Letters, query: str
) -> None:
    answer = await letters.http.get(f"/api/dead-letter-group{query}")

    is_refused(answer, 422, "invalid-request")


async def test_a_group_that_is_not_there_is_said(letters: Letters) -> None:
    answer = await letters.http.get("/api/dead-letter-group/0123456789abcdef")

    is_refused(answer, 404, "group-not-found")


async def test_of_what_is_not_authentic_a_sample_is_stored_again_once_it_is_settled(
    letters: Letters,
) -> None:
    for _ in range(SAMPLE):
        await letters.kept(b"-", authentic=False)
    await letters.receive(b"one too many")
    await letters.discard(1)
    await letters.receive(b"another")

    bodies = [each for (each,) in await letters.rows(dead_letter.c.body)]
    assert b"one too many" not in bodies
    assert b"another" in bodies
    await counts_are_true(letters)
