"""A rebuild: of an older database, of orders whose events are gone, and what the orders show afterwards."""

from tests.prove.safeguard import Safeguard, tests

_BACKUP = "notification/test_rebuild_of_a_backup"
_RECOVERY = "notification/test_recovery"
_REBUILD = "services/notification/rebuild.py"
_RECOVER = "services/notification/recovery.py"

SAFEGUARDS = (
    Safeguard(
        "what an older database has as still to be sent is held",
        _REBUILD,
        "        await hold_all(session)\n",
        "",
        tests(_BACKUP, "what_a_backup_has_as_still_to_be_sent_is_held[sqlite-READY]"),
    ),
    Safeguard(
        "what an older database has in doubt, or was sending, is held too",
        _RECOVER,
        "Notification.state.not_in([State.SENT, State.FAILED])",
        "Notification.state == State.READY",
        tests(_BACKUP, "what_a_backup_has_as_still_to_be_sent_is_held[sqlite-UNKNOWN]"),
    ),
    Safeguard(
        "a rebuild begins with all of it held, or has not begun",
        _REBUILD,
        "        await hold_all(session)\n        await _write_down(session, end)\n",
        "        await _write_down(session, end)\n"
        "    async with parts.database.write() as session:\n"
        "        await hold_all(session)\n",
        tests(
            _BACKUP, "a_rebuild_that_cannot_hold_what_is_there_has_not_begun[sqlite]"
        ),
    ),
    Safeguard(
        "a rebuild that goes on holds nothing that was made since",
        _REBUILD,
        "    if begun:\n",
        "    if begun:\n"
        "        async with parts.database.write() as session:\n"
        "            await hold_all(session)\n",
        tests(
            _BACKUP, "what_was_made_since_is_not_held_by_a_rebuild_that_goes_on[sqlite]"
        ),
    ),
    Safeguard(
        "who was told after the backup is known as told, whatever the backup says",
        _RECOVER,
        ".where(mine, table.c.state != State.SENT)",
        ".where(mine, table.c.reason == REASON)",
        tests(_BACKUP, "who_was_told_after_the_backup_is_known_as_told[sqlite-FAILED]"),
    ),
    Safeguard(
        "what is said of a notification in a backup is newer than what was said after it",
        _RECOVER,
        "    await session.execute(update(Notification).where(unsent).values(version=newer))\n",
        "",
        tests(
            _BACKUP,
            "what_is_said_of_it_is_newer_than_what_was_said_after_the_backup[sqlite]",
        ),
    ),
    Safeguard(
        "what a later rebuild says is newer than what was said before",
        _RECOVER,
        "    return int((ambient.now() - _BEGINNING).total_seconds())\n",
        "    return 1000\n",
        tests(
            _RECOVERY,
            "what_a_later_rebuild_says_is_newer_than_all_that_was_said_before[sqlite]",
        ),
    ),
    Safeguard(
        "an order whose event is gone has its notification again",
        _RECOVER,
        "            await _insert_missing(session, gone)\n",
        "",
        tests(
            _RECOVERY, "an_order_whose_event_is_gone_has_its_notification_again[sqlite]"
        ),
    ),
    Safeguard(
        "what is there already is left by it",
        _RECOVER,
        "insert(Notification).on_conflict_do_nothing()",
        "insert(Notification)",
        tests(
            _RECOVERY, "an_order_whose_event_is_gone_has_its_notification_again[sqlite]"
        ),
    ),
    Safeguard(
        "an order whose event is gone is told nobody of",
        _RECOVER,
        '        "state": State.HELD,\n',
        '        "state": State.READY,\n',
        tests(
            _RECOVERY,
            "its_event_that_comes_after_all_is_a_dead_letter_and_tells_nobody[sqlite]",
        ),
    ),
    Safeguard(
        "an order whose event is still to come is left to the service",
        _RECOVER,
        "str(each.order_id) not in later",
        "each.order_id",
        tests(
            _RECOVERY,
            "an_order_whose_event_is_still_to_come_is_left_to_the_service[sqlite]",
        ),
    ),
    Safeguard(
        "an order whose event the feed is yet to show is left to the service",
        _RECOVER,
        "each.created_at < old and ",
        "",
        tests(
            _RECOVERY,
            "a_recent_order_whose_event_is_not_to_be_seen_yet_is_left_to_the_service[sqlite]",
        ),
    ),
    Safeguard(
        "an order shows that a rebuild holds its notification",
        _RECOVER,
        "            await outcomes.hold(session, _is_left_of(page.items), REASON)\n",
        "",
        tests(_RECOVERY, "an_order_shows_that_its_notification_is_held[sqlite]"),
    ),
    Safeguard(
        "a rebuild whose end is gone does not read from the beginning for ever",
        "chassis/reconciler.py",
        "            if self.rebuilt_until and known is None:\n",
        "            if not self.reaction:\n",
        tests(
            _RECOVERY, "a_rebuild_whose_end_is_gone_goes_on_to_the_end_of_now[sqlite]"
        ),
    ),
    Safeguard(
        "a rebuild whose end is gone goes on to the end of now",
        _REBUILD,
        "            until = await _reach_for_another_end(parts, until)\n",
        "            raise\n",
        tests(
            _RECOVERY, "a_rebuild_whose_end_is_gone_goes_on_to_the_end_of_now[sqlite]"
        ),
    ),
)
