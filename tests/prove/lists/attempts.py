"""A bug holds an event up for so many attempts and no more; an outage counts against nobody."""

from tests.prove.safeguard import Safeguard, tests

_ATTEMPT = "chassis/test_attempt"
_AWAY = "chassis/test_database_away"
_BUG = tests(
    _ATTEMPT,
    "a_bug_brings_an_event_back_so_often_and_then_it_is_a_dead_letter[sqlite]",
)

SAFEGUARDS = (
    Safeguard(
        "a bug brings an event back so often and no more",
        "chassis/attempt.py",
        "    return (tries or 0) + 1 >= TRIES\n",
        "    return False\n",
        _BUG,
    ),
    Safeguard(
        "attempts are counted though their transaction is not kept",
        "chassis/database.py",
        "                await aftermath.follow_rollback(session)\n",
        "",
        _BUG,
    ),
    Safeguard(
        "attempts end with their dead letter",
        "chassis/attempt.py",
        "    mine = delete(attempt).where(tried.is_me()).returning(attempt.c.tries)\n",
        "    mine = select(attempt.c.tries).where(tried.is_me())\n",
        _BUG,
    ),
    Safeguard(
        "a database that is away counts against no event that is pushed",
        "chassis/inbox.py",
        "            if is_away(error):\n                raise\n",
        "",
        tests(
            _ATTEMPT,
            "a_database_that_is_away_counts_against_no_event_however_long[sqlite]",
        ),
    ),
    Safeguard(
        "a database that is away counts against no event that is pulled",
        "chassis/repair.py",
        "from chassis.database_away import is_away\n",
        "def is_away(_error: object) -> bool:\n    return False\n\n\n",
        tests(
            _ATTEMPT,
            "a_database_that_is_away_holds_the_cursor_however_long[sqlite]",
        ),
    ),
    Safeguard(
        "a bug on one event does not keep the others of its page from being tried",
        "chassis/inbox.py",
        "        spoil(session, error)\n        return\n",
        "        raise error\n",
        tests(
            _ATTEMPT,
            "a_bug_on_all_events_of_a_page_holds_the_cursor_no_longer[sqlite]",
        ),
    ),
    Safeguard(
        "a bug holds the cursor",
        "chassis/inbox.py",
        "        spoil(session, error)\n",
        "",
        tests(_ATTEMPT, "a_bug_holds_the_cursor_and_not_for_ever[sqlite]"),
    ),
    Safeguard(
        "an event has the same attempts at both doors",
        "chassis/inbox.py",
        "    tried = attempt.of(reaction.name, envelope.id if envelope else None, body)\n",
        "    tried = attempt.of(reaction.name, None, body + bytes([from_feed]))\n",
        tests(_ATTEMPT, "both_doors_count_the_same_attempts[sqlite]"),
    ),
    Safeguard(
        "what the other door has taken in is no dead letter",
        "chassis/inbox.py",
        "    if genuine and not claims and await is_there(",
        "    if genuine and not body and await is_there(",
        tests(
            _ATTEMPT,
            "what_the_other_door_has_taken_in_meanwhile_is_no_dead_letter[sqlite]",
        ),
    ),
    Safeguard(
        "a dead letter is said once it is kept",
        "chassis/dead_letter.py",
        "    after_commit(session, partial(_log.error, said, letter.reaction, reason))\n",
        "    _log.error(said, letter.reaction, reason)\n",
        tests(_ATTEMPT, "a_dead_letter_is_said_once_it_is_kept_and_not_before[sqlite]"),
    ),
    Safeguard(
        "attempts at what was taken in since are forgotten",
        "chassis/housekeeping.py",
        "where(or_(taken, old))",
        "where(old)",
        tests(
            _ATTEMPT,
            "attempts_are_forgotten_once_the_event_is_taken_in_or_came_no_more[sqlite]",
        ),
    ),
    Safeguard(
        "whatever prevents a connection, the database is away",
        "chassis/database.py",
        '        event.listen(engine.sync_engine, "do_connect", database_away.connect)\n',
        "        pass\n",
        tests(_AWAY, "a_server_that_lets_nobody_in_is_away[28P01]"),
    ),
    Safeguard(
        "a connection that has ended is a database that is away",
        "chassis/database_away.py",
        "error.connection_invalidated or _says_so(error.orig)",
        "_says_so(error.orig)",
        tests(_AWAY, "a_connection_that_the_server_ends_is_one_that_is_away"),
    ),
    Safeguard(
        "a file that is locked or full is a database that is away",
        "chassis/database_away.py",
        " or code in SQLITE_NOT_NOW",
        "",
        tests(_AWAY, "a_disk_that_is_full_is_away_until_it_is_not"),
    ),
    Safeguard(
        "a statement that is wrong is a fault of the service",
        "chassis/database_away.py",
        "error.connection_invalidated or _says_so(error.orig)",
        "error.connection_invalidated or error.orig is not None",
        tests(
            _AWAY,
            "a_statement_that_is_wrong_says_nothing_of_the_database[SELECT 1 FROM nothing]",
        ),
    ),
    Safeguard(
        "a file that a program misses is no way to a database",
        "chassis/database_away.py",
        " and not isinstance(error, _OF_FILES)",
        "",
        tests(
            _AWAY,
            "a_fault_of_the_program_says_nothing_of_the_database[FileNotFoundError()]",
        ),
    ),
)
