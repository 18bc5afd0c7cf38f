"""Dead letters: tried again once, and for show as often as one likes."""

from tests.prove.safeguard import Safeguard, tests

SAFEGUARDS = (
    Safeguard(
        "a dry run of a dead letter is taken back",
        "chassis/dead_letter_api.py",
        "        await attempt.rollback()\n        keep_quiet(session)\n",
        "        keep_quiet(session)\n",
        tests("chassis/test_dead_letter", "a_dry_run_leaves_nothing_behind[sqlite]"),
    ),
    Safeguard(
        "a dry run of a dead letter wakes nobody",
        "chassis/dead_letter_api.py",
        "        await attempt.rollback()\n        keep_quiet(session)\n",
        "        await attempt.rollback()\n",
        tests("chassis/test_dead_letter", "a_dry_run_leaves_nothing_behind[sqlite]"),
    ),
    Safeguard(
        "of many who try a dead letter at once one wins",
        "chassis/dead_letter_api.py",
        "where(dead_letter.c.id == letter_id).with_for_update()",
        "where(dead_letter.c.id == letter_id)",
        tests(
            "chassis/test_dead_letter",
            "of_many_who_try_a_letter_at_once_one_wins[postgresql-]",
        ),
    ),
    Safeguard(
        "a dead letter that was taken in is closed",
        "chassis/dead_letter_api.py",
        "    if letter.state != State.OPEN:\n",
        "    if letter.state is None:\n",
        tests("chassis/test_dead_letter", "a_dead_letter_is_taken_in_once[sqlite]"),
    ),
    Safeguard(
        "a letter whose event came meanwhile is not taken in again",
        "chassis/dead_letter_api.py",
        "    is_new = holds or await claim(session, reaction.name, envelope)\n",
        "    is_new = holds or await claim(session, reaction.name, envelope) or True\n",
        tests(
            "chassis/test_dead_letter",
            "a_letter_whose_event_came_meanwhile_is_not_taken_in_again[sqlite-]",
        ),
    ),
)
