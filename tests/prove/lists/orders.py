"""What 201 promises: an order and its event are committed together, on disk, before the answer."""

from tests.prove.safeguard import Safeguard, tests

SAFEGUARDS = (
    Safeguard(
        "an answer is sent after COMMIT",
        "chassis/database.py",
        'WriteSession = Annotated[AsyncSession, Depends(_write, scope="function")]',
        "WriteSession = Annotated[AsyncSession, Depends(_write)]",
        tests(
            "order/test_create_order",
            "a_commit_that_fails_is_answered_as_an_error_and_leaves_nothing[sqlite]",
        ),
    ),
    Safeguard(
        "an order has its event",
        "services/order/commands/create_order.py",
        "    await outbox.add(session, event, subject=order.id, cause=Cause(cause))\n",
        "    outbox.announce(session, outbox.SIGNAL)\n",
        tests(
            "order/test_create_order",
            "the_command_is_a_plain_function_of_a_session[sqlite]",
        ),
    ),
    Safeguard(
        "an order whose event cannot be stored is none",
        "chassis/outbox.py",
        "        await session.execute(statement, rows)\n",
        "        try:\n"
        "            async with session.begin_nested():\n"
        "                await session.execute(statement, rows)\n"
        "        except Exception:\n"
        "            return\n",
        tests(
            "order/test_create_order",
            "an_order_whose_event_cannot_be_stored_is_not_placed[sqlite]",
        ),
    ),
    Safeguard(
        "an event leaves with the transaction that it tells of",
        "chassis/outbox.py",
        "        await session.execute(statement, rows)\n",
        "        async with AsyncSession(session.bind) as its_own, its_own.begin():\n"
        "            await its_own.execute(statement, rows)\n",
        tests(
            "chassis/test_feed_on_postgresql", "what_is_taken_back_is_not_waited_for"
        ),
    ),
    Safeguard(
        "what is rolled back leaves nothing",
        "chassis/database.py",
        "                async with session.begin():\n"
        "                    yield session\n"
        "                    aftermath.check(session)\n",
        "                try:\n"
        "                    yield session\n"
        "                finally:\n"
        "                    await session.commit()\n",
        tests("chassis/test_database", "a_transaction_that_fails_leaves_nothing"),
    ),
    Safeguard(
        "a commit of SQLite is on disk",
        "chassis/database.py",
        '    "synchronous=FULL",\n',
        '    "synchronous=NORMAL",\n',
        tests(
            "chassis/test_database",
            "a_commit_survives_a_power_failure[synchronous-2]",
        ),
    ),
    Safeguard(
        "a commit of PostgreSQL is on disk",
        "chassis/database.py",
        '            "synchronous_commit": "on",\n',
        "",
        tests(
            "chassis/test_feed_on_postgresql",
            "a_commit_is_on_disk_whatever_the_database_says",
        ),
    ),
    Safeguard(
        "a transaction that is left open holds nobody up for ever",
        "chassis/database.py",
        '            "idle_in_transaction_session_timeout": "30s",\n',
        "",
        tests(
            "chassis/test_feed_on_postgresql",
            "a_transaction_that_is_left_open_ends_whatever_the_database_says",
        ),
    ),
    Safeguard(
        "a writer takes its place at once",
        "chassis/database.py",
        '.get("begin", "BEGIN IMMEDIATE")',
        '.get("begin", "BEGIN")',
        tests(
            "chassis/test_database",
            "a_writer_takes_its_place_with_its_first_statement_even_a_query",
        ),
    ),
    Safeguard(
        "writers of one process queue in memory",
        "chassis/database.py",
        "nullcontext() if self.is_shared else asyncio.Lock()",
        "nullcontext()",
        tests(
            "chassis/test_database",
            "writers_of_one_process_take_turns_before_they_reach_the_file",
        ),
    ),
    Safeguard(
        "a reader waits for no writer",
        "chassis/database.py",
        'execution_options={"begin": "BEGIN"}',
        'execution_options={"begin": "BEGIN IMMEDIATE"}',
        tests(
            "chassis/test_database",
            "a_writer_is_not_held_up_by_a_reader_whose_view_stays_as_it_was",
        ),
    ),
    Safeguard(
        "past its backlog the service promises no more",
        "chassis/backlog.py",
        "        if self._is_full:\n",
        "        if self._is_full and not self.limit:\n",
        tests("order/test_idempotency", "an_answer_of_trouble_is_not_kept[sqlite]"),
    ),
    Safeguard(
        "a request has a largest size",
        "chassis/request_guard.py",
        "        if len(body) > LIMIT:\n",
        "        if len(body) < 0:\n",
        tests(
            "order/test_bad_input",
            "a_body_over_64_kib_that_does_not_say_its_length_is_refused[sqlite]",
        ),
    ),
    Safeguard(
        "a request is JSON, and says so",
        "chassis/request_guard.py",
        "            if body:\n",
        "            if not body:\n",
        tests("order/test_bad_input", "another_content_type_is_refused"),
    ),
    Safeguard(
        "a name has no line breaks and no controls",
        "chassis/wire.py",
        '        raise ValueError("must not contain control characters or line breaks")\n',
        "        return text\n",
        tests("order/test_bad_input", "a_field_that_is_not_valid_is_named"),
    ),
    Safeguard(
        "an address is one that begins no other header",
        "chassis/wire.py",
        '        raise ValueError(f"must be an e-mail address: {error}") from error\n',
        "        return address\n",
        tests(
            "order/test_bad_input", "an_address_that_mail_servers_do_not_take_is_named"
        ),
    ),
    Safeguard(
        "an order waits for no sidecar",
        "chassis/relay.py",
        "            claimed = await claim(session, self.owner, probing=self.probing)\n",
        "            claimed = await claim(session, self.owner, probing=self.probing)\n"
        "            await self.sidecar.metadata()\n",
        tests(
            "chassis/test_relay",
            "a_sidecar_that_does_not_answer_does_not_hold_up_orders[sqlite]",
        ),
    ),
    Safeguard(
        "a published contract does not change",
        "contracts/order_created.py",
        "    created_at: Timestamp\n",
        "    created_at: Timestamp | None = None\n",
        tests(
            "documents/test_publishing",
            "no_published_version_has_changed_incompatibly",
        ),
    ),
)
