"""Dead letters: they end once, replayed or discarded; all that are open are tried one after another."""

from tests.prove.safeguard import Safeguard, tests

_END = "chassis/test_dead_letter_end"
_COMMAND = "chassis/test_dead_letters_command"

SAFEGUARDS = (
    Safeguard(
        "a dry run of a dead letter is taken back",
        "chassis/dead_letter_end.py",
        "        await attempt.rollback()\n        keep_quiet(session)\n",
        "        keep_quiet(session)\n",
        tests("chassis/test_dead_letter", "a_dry_run_leaves_nothing_behind[sqlite]"),
    ),
    Safeguard(
        "a dry run of a dead letter wakes nobody",
        "chassis/dead_letter_end.py",
        "        await attempt.rollback()\n        keep_quiet(session)\n",
        "        await attempt.rollback()\n",
        tests("chassis/test_dead_letter", "a_dry_run_leaves_nothing_behind[sqlite]"),
    ),
    Safeguard(
        "of many who try a dead letter at once one wins",
        "chassis/dead_letter_end.py",
        "        mine = mine.with_for_update()\n",
        "        pass\n",
        tests(
            "chassis/test_dead_letter",
            "of_many_who_try_a_letter_at_once_one_wins[postgresql-]",
        ),
    ),
    Safeguard(
        "a dead letter that was taken in is closed",
        "chassis/dead_letter_end.py",
        "    if letter.state != State.OPEN:\n",
        "    if letter.state is None:\n",
        tests("chassis/test_dead_letter", "a_dead_letter_is_taken_in_once[sqlite]"),
    ),
    Safeguard(
        "a letter whose event came meanwhile is not taken in again",
        "chassis/dead_letter_end.py",
        "    is_new = await claim(session, reaction.name, envelope)\n",
        "    is_new = await claim(session, reaction.name, envelope) or True\n",
        tests(
            "chassis/test_dead_letter",
            "a_letter_whose_event_came_meanwhile_is_not_taken_in_again[sqlite-]",
        ),
    ),
    Safeguard(
        "a dead letter ends once, replayed or discarded",
        "chassis/dead_letter_end.py",
        "        mine = mine.with_for_update()\n",
        "        pass\n",
        tests(_END, "of_many_who_settle_a_letter_at_once_one_wins[postgresql]"),
    ),
    Safeguard(
        "what is settled stays as it is",
        "chassis/dead_letter_end.py",
        "    if letter.state != State.OPEN:\n",
        "    if letter.state == State.REPLAYED:\n",
        tests(_END, "what_is_settled_stays_as_it_is[sqlite]"),
    ),
    Safeguard(
        "who discards a dead letter is kept with it",
        "chassis/dead_letter_end.py",
        "discarded_at=now, **who)",
        "discarded_at=now)",
        tests(_END, "a_letter_that_is_discarded_says_who_when_and_why[sqlite]"),
    ),
    Safeguard(
        "who discards a dead letter says why",
        "chassis/dead_letter_api.py",
        'examples=["A test of the broker"])\n    ]\n    by:',
        'examples=["A test of the broker"])\n    ] = "-"\n    by:',
        tests(
            _END,
            "nobody_discards_without_a_name_and_a_reason[sqlite-{'by': 'jane'}]",
        ),
    ),
    Safeguard(
        "a replay that fails is an attempt",
        "chassis/dead_letter_end.py",
        "        if not dry_run:\n            after_rollback(",
        "        if dry_run:\n            after_rollback(",
        tests(
            _END,
            "a_letter_whose_reaction_has_a_bug_says_so_and_counts_the_attempt[sqlite]",
        ),
    ),
    Safeguard(
        "a replay while the database is away is no attempt",
        "chassis/dead_letter_end.py",
        "        if is_away(error):\n            raise\n",
        "",
        tests(_END, "a_replay_while_the_database_is_away_is_no_attempt[sqlite]"),
    ),
    Safeguard(
        "a trace is shown so that it moves no cursor",
        "chassis/dead_letter_api.py",
        "return in_one_line(trace) if",
        "return trace if",
        tests(
            _END,
            "a_trace_is_shown_where_there_is_one"
            '[sqlite-{"traceparent": "\\ud800\\u0000\\n"}-\\\\xd800\\\\x00]',
        ),
    ),
    Safeguard(
        "the key of a dead letter is kept as long as the letter",
        "chassis/housekeeping.py",
        "    free = and_(old, ~select(dead_letter.c.id).where(holds).exists())\n",
        "    free = and_(old, holds.is_(None) | old)\n",
        tests(_END, "the_key_of_a_letter_is_kept_as_long_as_the_letter[sqlite]"),
    ),
    Safeguard(
        "a dead letter that was discarded long ago goes",
        "chassis/housekeeping.py",
        "func.coalesce(dead_letter.c.replayed_at, dead_letter.c.discarded_at)",
        "dead_letter.c.replayed_at",
        tests(
            "chassis/test_housekeeping",
            "settled_letters_are_forgotten_and_open_ones_stay",
        ),
    ),
    Safeguard(
        "what becomes a dead letter meanwhile is for another time",
        "chassis/dead_letters.py",
        "        if each.id > newest:\n            return\n",
        "",
        tests(
            _COMMAND,
            "what_becomes_a_dead_letter_meanwhile_is_for_another_time[sqlite]",
        ),
    ),
    Safeguard(
        "Ctrl-C ends a replay of all after the letter that is being tried",
        "chassis/pace.py",
        "        if stop.is_set():\n            return\n        due",
        "        due",
        tests(_COMMAND, "ctrl_c_ends_it_after_the_letter_that_is_being_tried[sqlite]"),
    ),
    Safeguard(
        "so many dead letters a second are tried and no more",
        "chassis/pace.py",
        "due = ambient.monotonic() + 1 / rate",
        "due = ambient.monotonic()",
        tests(_COMMAND, "so_many_letters_a_second_are_tried_and_no_more"),
    ),
    Safeguard(
        "a replay of all goes on past those that still fail",
        "chassis/dead_letters.py",
        "        still = refused.problem == StillFails.type()\n",
        "        if still := refused.problem == StillFails.type():\n"
        "            raise\n",
        tests(
            _COMMAND,
            "all_that_are_open_are_tried_oldest_first_past_those_that_still_fail[sqlite]",
        ),
    ),
    Safeguard(
        "what is listed of dead letters moves no cursor",
        "chassis/dead_letters.py",
        "c if c.isprintable() else json.dumps(c)[1:-1] for c in line",
        "c for c in line",
        tests(_COMMAND, "a_letter_is_shown_whole_and_moves_no_cursor[sqlite]"),
    ),
    Safeguard(
        "a 200 without its body is said, and can be asked again",
        "chassis/dead_letter_client.py",
        "        except ValidationError as error:\n            raise _trouble(answer) from error\n",
        "        except NotHeard:\n            raise\n",
        tests(
            _COMMAND,
            "a_service_that_is_not_heard_is_said_and_can_be_asked_again"
            "[answer0-The answer was 200 ]",
        ),
    ),
)
