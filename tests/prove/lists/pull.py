"""The pull: what the broker lost is taken in, once; and who lost what it had tells nobody again."""

from tests.prove.safeguard import Safeguard, tests

_PULL = "chassis/test_reconciler"
_TROUBLE = "chassis/test_reconciler_in_trouble"
_REBUILD = "notification/test_rebuild"
_HOLDS = tests(_PULL, "a_reaction_that_fails_for_now_holds_the_cursor")

SAFEGUARDS = (
    Safeguard(
        "a service pulls what the broker lost",
        "chassis/service.py",
        "[relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]",
        "[relay.loop(), _housekeeping(parts).loop(), *_watch(database)]",
        tests("chassis/test_service", "a_service_runs_all_its_loops[sqlite]"),
    ),
    Safeguard(
        "the simulation finds what the broker lost",
        "chassis/service.py",
        "[relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]",
        "[relay.loop(), _housekeeping(parts).loop(), *_watch(database)]",
        faults=("message 1: drop",),
    ),
    Safeguard(
        "a cursor moves from where it was read",
        "chassis/feed_cursor.py",
        "    later = update(feed_cursor).where(_at(reaction, old)).values(cursor=new)\n",
        "    mine = feed_cursor.c.reaction == reaction\n"
        "    later = update(feed_cursor).where(mine).values(cursor=new)\n",
        tests(_PULL, "one_that_is_overtaken_later_leads_nobody_back"),
    ),
    Safeguard(
        "who is overtaken does nothing a second time",
        "chassis/feed_cursor.py",
        "    if (await session.execute(moved)).first() is None:",
        "    await session.execute(moved)\n    if not new:",
        tests(_PULL, "two_that_read_at_once_make_one_dead_letter"),
    ),
    Safeguard(
        "of two that begin at once one goes on",
        "chassis/feed_cursor.py",
        "insert(feed_cursor).values(row).on_conflict_do_nothing()",
        'insert(feed_cursor).values(row).on_conflict_do_update(index_elements=["reaction"], set_=row)',
        tests(_PULL, "two_that_begin_at_once_take_nothing_in_twice"),
    ),
    Safeguard(
        "a cursor and what was taken in are one transaction",
        "chassis/reconciler.py",
        "                await feed_cursor.move(session, self.reaction.name, known, onward)\n",
        "                await feed_cursor.move(session, self.reaction.name, known, onward)\n"
        "            async with self.database.write() as session:\n",
        _HOLDS,
    ),
    Safeguard(
        "a fault that may pass holds the cursor, and makes no dead letter",
        "chassis/inbox.py",
        "PERMANENT = (Unprocessable, Rejected, IntegrityError, DataError)",
        "PERMANENT = (Unprocessable, Rejected, StatementError)",
        _HOLDS,
    ),
    Safeguard(
        "an event that can never be taken in does not hold the cursor",
        "chassis/repair.py",
        "        await give_up(session, reaction, body, error, from_feed=True)\n",
        "        raise\n",
        tests(_TROUBLE, "what_is_no_event_is_one_dead_letter_and_blocks_nobody[{}]"),
    ),
    Safeguard(
        "an event that can never be taken in takes no other with it",
        "chassis/repair.py",
        "        async with session.begin_nested():\n            return await _act(",
        "        if session:\n            return await _act(",
        tests(
            _TROUBLE,
            "a_second_event_for_an_order_is_a_dead_letter_and_takes_no_other_with_it",
        ),
    ),
    Safeguard(
        "a malformed event of the feed claims its key",
        "chassis/repair.py",
        "await give_up(session, reaction, body, error, from_feed=True)",
        "await give_up(session, reaction, body, error)",
        tests(
            _TROUBLE,
            "an_event_that_fails_for_good_is_one_dead_letter_that_holds_its_key[changes0]",
        ),
    ),
    Safeguard(
        "what the inbox has is not taken in from the feed",
        "chassis/repair.py",
        "    if is_new:\n        await _take_its_place(",
        "    if envelope:\n        await _take_its_place(",
        tests(
            "notification/test_forged",
            "who_was_told_the_truth_is_not_told_again[sqlite]",
        ),
    ),
    Safeguard(
        "what is pushed has time to arrive",
        "chassis/reconciler.py",
        "SETTLE if event.way is Way.PUSHED else 0.0",
        "0.0",
        tests(_PULL, "what_is_pushed_is_given_time_to_arrive"),
    ),
    Safeguard(
        "each event has its own time to arrive",
        "chassis/settling.py",
        "            self._reached = self._ends.popleft()[1]\n",
        "            self._reached = self._ends.pop()[1]\n",
        tests(_PULL, "each_event_is_given_its_own_time"),
    ),
    Safeguard(
        "a page that does not lead on is refused",
        "chassis/feed_page.py",
        "if not leads_on and (onward != read or page.events):",
        "if not page:",
        tests(_TROUBLE, "a_page_that_is_broken_is_refused_whole[next going back]"),
    ),
    Safeguard(
        "a page is of one feed",
        "chassis/feed_page.py",
        "    if len({each.feed for each in (read, onward, end) if each}) > 1:\n",
        "    if not page:\n",
        tests(_TROUBLE, "a_page_that_is_broken_is_refused_whole[end of another feed]"),
    ),
    Safeguard(
        "a page without its end is none",
        "chassis/feed_page.py",
        "    end: str | None\n",
        "    end: str | None = None\n",
        tests(_TROUBLE, "a_page_that_is_broken_is_refused_whole[no end]"),
    ),
    Safeguard(
        "only 200 is a page",
        "chassis/feed_client.py",
        "        if answer.status != 200:\n            raise _told_off(",
        "        if answer.status > 299:\n            raise _told_off(",
        tests(
            _TROUBLE,
            "an_answer_that_is_no_page_changes_nothing[201-body5]",
        ),
    ),
    Safeguard(
        "an answer that was cut off is none",
        "chassis/sidecar.py",
        "        if not _is_complete(given) or (\n",
        "        if (\n",
        tests(
            "conformance/test_asking",
            "an_answer_that_is_cut_off_is_none_though_its_status_is_200[simulated]",
        ),
    ),
    Safeguard(
        "who reads another feed than before begins anew",
        "chassis/feed_client.py",
        "    if problem in (FeedChanged.type(), FeedGone.type()):\n",
        "    if problem == FeedGone.type():\n",
        tests(_TROUBLE, "a_backup_of_the_sender_makes_it_begin_anew_and_miss_nothing"),
    ),
    Safeguard(
        "who was away for too long begins anew",
        "chassis/feed_client.py",
        "    if problem in (FeedChanged.type(), FeedGone.type()):\n",
        "    if problem == FeedChanged.type():\n",
        tests(
            "chassis/test_housekeeping",
            "a_consumer_that_was_away_for_too_long_begins_anew_and_takes_nothing_in_twice",
        ),
    ),
    Safeguard(
        "who begins anew sends no other back",
        "chassis/feed_cursor.py",
        "    await session.execute(delete(feed_cursor).where(_at(reaction, cursor)))\n",
        "    mine = feed_cursor.c.reaction == reaction\n"
        "    await session.execute(delete(feed_cursor).where(mine))\n",
        tests(_TROUBLE, "whoever_begins_anew_does_not_send_another_back"),
    ),
    Safeguard(
        "a reader that has gone back is told",
        "chassis/feed_reader.py",
        "if found and (place or BEGINNING) < tuple(found):",
        "if found and not reader:",
        tests(
            "chassis/test_housekeeping",
            "a_database_that_was_restored_is_noticed_and_takes_nothing",
        ),
    ),
    Safeguard(
        "a database that was wiped begins nothing anew",
        "chassis/reconciler.py",
        "        return known is None and await _has_any(session, self.reaction)\n",
        "        return known is None\n",
        tests(
            _REBUILD,
            "a_database_that_was_wiped_is_noticed_and_nobody_is_told_again[sqlite]",
        ),
    ),
    Safeguard(
        "until a rebuild is finished nothing is taken in",
        "chassis/reconciler.py",
        "        if await feed_cursor.find(session, rebuild_of(self.reaction)):\n",
        "        if not rebuild_of(self.reaction):\n",
        tests(
            _REBUILD,
            "a_rebuild_that_breaks_off_goes_on_and_until_then_nothing_is_taken[sqlite]",
        ),
    ),
    Safeguard(
        "a rebuild is written down before its first event",
        "services/notification/rebuild.py",
        "    end = begun or await _reconciler(parts, None).end()\n",
        "    end = await _reconciler(parts, None).end()\n",
        tests(
            _REBUILD,
            "a_rebuild_that_breaks_off_goes_on_and_until_then_nothing_is_taken[sqlite]",
        ),
    ),
    Safeguard(
        "a rebuild sends nothing",
        "services/notification/rebuild.py",
        "notification.state, notification.reason = State.HELD, REASON",
        "notification.state, notification.reason = State.READY, REASON",
        tests(
            _REBUILD,
            "who_is_known_as_told_is_sent_and_the_others_are_held[sqlite]",
        ),
    ),
    Safeguard(
        "what is said of a restored notification is newer than what was said before",
        "services/notification/rebuild.py",
        "    notification.version = VERSION\n",
        "",
        tests(
            _REBUILD, "what_is_said_after_it_supersedes_what_was_said_before[sqlite]"
        ),
    ),
    Safeguard(
        "while the service runs nothing is rebuilt",
        "services/notification/rebuild.py",
        "        if not try_lock(file):\n",
        "        if file.closed:\n",
        tests(_REBUILD, "while_the_service_runs_nothing_is_rebuilt[sqlite]"),
    ),
    Safeguard(
        "what is ordered before there is a queue is pulled",
        "chassis/service.py",
        "[relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]",
        "[relay.loop(), _housekeeping(parts).loop(), *_watch(database)]",
        tests(
            "journeys/test_nothing_is_lost",
            "what_is_ordered_before_the_rest_is_there_is_notified[the_consumer_comes_late]",
        ),
        on_the_real_system=True,
    ),
    Safeguard(
        "what a broker has lost is pulled",
        "chassis/service.py",
        "[relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]",
        "[relay.loop(), _housekeeping(parts).loop(), *_watch(database)]",
        tests(
            "journeys/test_nothing_is_lost",
            "what_is_lost_on_the_way_is_notified[the_queue_is_purged-rabbitmq-sqlite]",
        ),
        on_the_real_system=True,
    ),
)
