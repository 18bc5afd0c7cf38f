"""The feed under load and in trouble: who asks is answered, and what holds events back is named."""

from tests.prove.safeguard import Safeguard, tests

_BOUND = "chassis/test_feed_bound"
_NAMED = tests(_BOUND, "a_transaction_that_holds_the_feed_back_is_named_once")

SAFEGUARDS = (
    Safeguard(
        "who asks for the feed holds one connection at a time",
        "chassis/feed_api.py",
        "        page = await read(session, stretch)\n"
        "    if asked.reader:\n"
        "        place = stretch.after.place if stretch.after else None\n"
        "        readers = request.app.state.readers\n"
        "        await readers.acknowledge(asked.reader, asked.topic, place)\n",
        "        page = await read(session, stretch)\n"
        "        if asked.reader:\n"
        "            place = stretch.after.place if stretch.after else None\n"
        "            readers = request.app.state.readers\n"
        "            await readers.acknowledge(asked.reader, asked.topic, place)\n",
        tests(
            "chassis/test_feed_at_once",
            "many_readers_that_ask_at_once_are_all_answered",
        ),
    ),
    Safeguard(
        "on PostgreSQL the feed's bound is watched",
        "chassis/service.py",
        "_housekeeping(parts).loop(), *_watch(database)]",
        "_housekeeping(parts).loop()]",
        tests("chassis/test_service", "a_service_runs_all_its_loops[postgresql]"),
    ),
    Safeguard(
        "a transaction that holds the feed back is said",
        "chassis/feed_bound.py",
        "self.clock() - self._since < STANDS_STILL\n",
        "self.clock() - self._since < STANDS_STILL * 1000\n",
        _NAMED,
    ),
    Safeguard(
        "a transaction that holds the feed back is said once",
        "chassis/feed_bound.py",
        "        return self._has_said_so or self.clock()",
        "        return self.clock()",
        _NAMED,
    ),
    Safeguard(
        "a transaction that holds nothing back is nobody's trouble",
        "chassis/feed_bound.py",
        "        if not seen.waiting or seen.bound != self._bound:\n",
        "        if seen.bound != self._bound:\n",
        tests(
            _BOUND,
            "an_open_transaction_that_holds_no_event_back_is_nobodys_trouble",
        ),
    ),
    Safeguard(
        "transactions that come and go are nobody's trouble",
        "chassis/feed_bound.py",
        "        if not seen.waiting or seen.bound != self._bound:\n",
        "        if not seen.waiting or self._bound < 0:\n",
        tests(_BOUND, "transactions_that_come_and_go_are_nobodys_trouble"),
    ),
    Safeguard(
        "a transaction of another database is named too",
        "chassis/feed_bound.py",
        '" FROM pg_stat_activity WHERE backend_xid',
        '" FROM pg_stat_activity WHERE datname = current_database() AND backend_xid',
        tests(_BOUND, "a_transaction_of_another_database_is_named_too"),
    ),
    Safeguard(
        "what another app asks through Dapr is not of the sidecar",
        "chassis/security.py",
        "        if CALLER in Headers(scope=scope):\n",
        "        if CALLER in scope:\n",
        tests(
            "chassis/test_security",
            "what_another_app_asks_through_dapr_is_not_of_the_sidecar[order]",
        ),
    ),
    Safeguard(
        "a caller without a name is another app",
        "chassis/security.py",
        "        if CALLER in Headers(scope=scope):\n",
        "        if Headers(scope=scope).get(CALLER):\n",
        tests(
            "chassis/test_security",
            "what_another_app_asks_through_dapr_is_not_of_the_sidecar[]",
        ),
    ),
)
