"""The feed: whoever goes on from where it was misses nothing, and only those may read who are to."""

from tests.prove.safeguard import Safeguard, tests

_FEED = "chassis/test_feed"
_ON_POSTGRESQL = "chassis/test_feed_on_postgresql"
_KEPT = "chassis/test_housekeeping"

SAFEGUARDS = (
    Safeguard(
        "the feed of PostgreSQL waits for what is open",
        "chassis/feed.py",
        "return outbox.c.transaction < oldest_open",
        "return outbox.c.transaction >= 0",
        tests(
            _ON_POSTGRESQL,
            "what_took_its_place_first_and_commits_last_is_not_passed",
        ),
    ),
    Safeguard(
        "the order of PostgreSQL's feed is that of the transactions",
        "chassis/outbox.py",
        '    return "pg_current_xact_id()::text::bigint"\n',
        '    return "0"\n',
        tests(_ON_POSTGRESQL, "a_later_transaction_may_take_an_earlier_position"),
    ),
    Safeguard(
        "a feed that was restored into another cluster begins anew",
        "chassis/service.py",
        "        await feed.adopt(parts.database)\n",
        "",
        tests(_ON_POSTGRESQL, "a_service_notices_that_its_feed_was_restored"),
    ),
    Safeguard(
        "a feed that begins anew has another id",
        "chassis/feed.py",
        "            await session.execute(update(feed).values(id=uuid4()))\n",
        "",
        tests(
            _ON_POSTGRESQL,
            "a_feed_that_was_restored_into_another_cluster_begins_anew",
        ),
    ),
    Safeguard(
        "a cursor is of one feed",
        "chassis/feed.py",
        "if cursor.feed != feed_id or there != cursor.event_id:",
        "if there != cursor.event_id:",
        tests(
            "chassis/test_feed_refusals", "a_cursor_of_another_feed_is_refused[after]"
        ),
    ),
    Safeguard(
        "a cursor is of one event",
        "chassis/feed.py",
        "if cursor.feed != feed_id or there != cursor.event_id:",
        "if cursor.feed != feed_id or not there:",
        tests(
            "chassis/test_feed_refusals",
            "a_cursor_at_whose_place_another_event_is_is_refused",
        ),
    ),
    Safeguard(
        "a cursor beyond the end is refused",
        "chassis/feed.py",
        "if cursor.feed != feed_id or there != cursor.event_id:",
        "if cursor.feed != feed_id or (there and there != cursor.event_id):",
        tests(
            "chassis/test_feed_refusals", "a_cursor_beyond_the_end_is_refused[after]"
        ),
    ),
    Safeguard(
        "who asks after what was deleted is told",
        "chassis/feed.py",
        "    if after and after.place < gone:\n",
        "    if after and not gone:\n",
        tests(_KEPT, "whoever_asks_after_what_is_gone_is_told"),
    ),
    Safeguard(
        "a page holds one topic",
        "chassis/feed.py",
        "outbox.c.topic == stretch.topic, place <= until.place",
        "place <= until.place",
        tests(_FEED, "events_of_other_topics_are_left_out_and_gone_past"),
    ),
    Safeguard(
        "a page ends where its end was read",
        "chassis/feed.py",
        "outbox.c.topic == stretch.topic, place <= until.place",
        "outbox.c.topic == stretch.topic",
        tests(
            _ON_POSTGRESQL,
            "what_is_committed_while_a_page_is_read_belongs_to_the_next",
        ),
    ),
    Safeguard(
        "a page goes no further than it is asked to",
        "chassis/feed.py",
        "outbox.c.topic == stretch.topic, place <= until.place",
        "outbox.c.topic == stretch.topic",
        tests(_FEED, "what_comes_after_until_is_not_given"),
    ),
    Safeguard(
        "a full page leads to its last event, and no further",
        "chassis/feed.py",
        "    if rows and len(rows) == stretch.limit:\n",
        "    if not rows:\n",
        tests(_FEED, "a_feed_is_read_page_by_page_to_its_end"),
    ),
    Safeguard(
        "an event is in the feed whatever became of it at the broker",
        "chassis/feed.py",
        "        .where(outbox.c.topic == stretch.topic, place <= until.place)\n",
        "        .where(outbox.c.topic == stretch.topic, place <= until.place)\n"
        '        .where(outbox.c.state != "PARKED")\n',
        tests(
            _FEED,
            "an_event_is_listed_whatever_became_of_it_at_the_broker[PARKED]",
        ),
    ),
    Safeguard(
        "a position is never given twice",
        "services/order/migrations/versions/0001_the_first_tables.py",
        "        sqlite_autoincrement=True,\n",
        "",
        tests("chassis/test_migration", "they_make_the_very_same_tables"),
    ),
    Safeguard(
        "the feed wants its secret",
        "chassis/feed_api.py",
        "dependencies=[Depends(knows_the_secret)]",
        "dependencies=[]",
        tests("chassis/test_security", "the_feed_wants_the_secret[sqlite-None]"),
    ),
    Safeguard(
        "the feed wants all of its secret",
        "chassis/security.py",
        'if not _is_same(authorization, f"Bearer {request.app.state.secret}"):',
        'if not f"Bearer {request.app.state.secret}".startswith(authorization):',
        tests("chassis/test_security", "the_feed_wants_the_secret[sqlite-Bearer ]"),
    ),
    Safeguard(
        "a delivery wants the sidecar's token",
        "chassis/security.py",
        'path.startswith(("/dapr/", "/events/"))',
        'path.startswith("/dapr/")',
        tests("chassis/test_security", "what_only_the_sidecar_calls_wants_its_token"),
    ),
    Safeguard(
        "what daprd asks at its start wants the sidecar's token",
        "chassis/security.py",
        'path.startswith(("/dapr/", "/events/"))',
        'path.startswith("/events/")',
        tests("chassis/test_security", "what_only_the_sidecar_calls_wants_its_token"),
    ),
    Safeguard(
        "a token that is wrong is none",
        "chassis/security.py",
        "and not self._is_sent(scope)",
        'and not Headers(scope=scope).get("dapr-api-token")',
        tests("chassis/test_security", "what_only_the_sidecar_calls_wants_its_token"),
    ),
    Safeguard(
        "the secret is its owner's alone",
        "chassis/security.py",
        "        draft.flush()\n",
        "        draft.flush()\n        Path(draft.name).chmod(0o644)\n",
        tests(
            "chassis/test_feed_secret",
            "the_secret_is_made_once_and_for_its_owner_alone",
        ),
    ),
    Safeguard(
        "what a reader has not taken in is kept",
        "chassis/housekeeping.py",
        ".exists(), ~held_up)",
        ".exists(), held_up.is_not(None))",
        tests(_KEPT, "what_every_reader_has_taken_in_is_forgotten_after_a_while"),
    ),
    Safeguard(
        "what nobody has read yet is kept",
        "chassis/housekeeping.py",
        "    return and_(select(feed_reader.c.reader).where(somebody).exists(), ~held_up)\n",
        "    return ~held_up if somebody is not None else held_up\n",
        tests(_KEPT, "what_nobody_reads_is_kept"),
    ),
    Safeguard(
        "what is not that old is kept",
        "chassis/housekeeping.py",
        "        old = outbox.c.created_at < ambient.now() - kept\n",
        "        old = outbox.c.created_at < ambient.now() + kept\n",
        tests(_KEPT, "what_is_not_that_old_is_kept"),
    ),
    Safeguard(
        "what is not through the broker is kept",
        "chassis/housekeeping.py",
        "and_(old, _is_done(), _is_read())",
        "and_(old, _is_read())",
        tests(_KEPT, "what_is_not_through_the_broker_is_kept[PARKED]"),
    ),
    Safeguard(
        "what was deleted leaves a mark",
        "chassis/housekeeping.py",
        "            await _move_the_mark(session, max(gone))\n",
        "            gone.sort()\n",
        tests(_KEPT, "whoever_asks_after_what_is_gone_is_told"),
    ),
    Safeguard(
        "a reader that begins anew holds everything",
        "chassis/feed_reader.py",
        "        if self._seen.get((reader, topic)) == place:\n",
        "        if self._seen.get((reader, topic), BEGINNING) >= place:\n",
        tests(_KEPT, "a_reader_that_begins_anew_holds_everything"),
    ),
    Safeguard(
        "an event that was taken in is known for longer than any broker keeps it",
        "chassis/housekeeping.py",
        "    old = inbox.c.taken_at < ambient.now() - INBOX_KEPT\n",
        "    old = inbox.c.taken_at < ambient.now()\n",
        tests(_KEPT, "keys_of_the_inbox_are_forgotten_long_after"),
    ),
    Safeguard(
        "a dead letter that is open stays",
        "chassis/housekeeping.py",
        "    return and_(settled, when < moment)\n",
        "    return ~settled | (when < moment)\n",
        tests(_KEPT, "settled_letters_are_forgotten_and_open_ones_stay"),
    ),
    Safeguard(
        "tables stay bounded",
        "chassis/service.py",
        "[relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]",
        "[relay.loop(), *pull, *_watch(database)]",
        tests("chassis/test_service", "a_service_runs_all_its_loops[sqlite]"),
    ),
    Safeguard(
        "so many events are asked for by their ids, and no more",
        "chassis/feed_api.py",
        "        [], max_length=MOST_BY_ID\n",
        "        []\n",
        tests(
            "chassis/test_feed_by_ids",
            "too_many_ids_and_what_is_none_are_refused[asked0]",
        ),
    ),
)
