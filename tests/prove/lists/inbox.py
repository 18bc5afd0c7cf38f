"""The door in: an event is taken in once, what is not believed claims nothing, and nothing loops."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "chassis/test_inbox"
_HOSTILE = "chassis/test_hostile_events"
_TWICE = tests(_FILE, "an_event_that_is_delivered_twice_makes_one_notification[sqlite]")
_ONCE = tests(_FILE, "a_reaction_acts_once_however_often_its_event_comes[sqlite]")
_FORGED = tests(
    _FILE, "what_is_forged_does_not_take_the_place_of_what_is_genuine[sqlite]"
)
_BACK = tests(_FILE, "a_reaction_that_fails_for_now_is_tried_again[sqlite]")

SAFEGUARDS = (
    Safeguard(
        "a second delivery finds the claim",
        "chassis/inbox.py",
        "    return (await session.execute(CLAIM.values(row))).first() is not None",
        "    await session.execute(CLAIM.values(row))\n    return True",
        _ONCE,
    ),
    Safeguard(
        "a claim that is there is no error",
        "chassis/inbox.py",
        "insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)",
        "insert(inbox).returning(inbox.c.event_id)",
        _ONCE,
    ),
    Safeguard(
        "an event is claimed before it is acted on",
        "chassis/inbox.py",
        "    if is_new := await claim(session, reaction.name, envelope):\n"
        "        await react(session, reaction.act, envelope, event)\n"
        "    else:\n",
        "    await react(session, reaction.act, envelope, event)\n"
        "    if not (is_new := await claim(session, reaction.name, envelope)):\n",
        _ONCE,
    ),
    Safeguard(
        "a claim and what it is for are one transaction",
        "chassis/inbox.py",
        "                await act_once(session, reaction, body)\n",
        "                envelope, event = parse(reaction.event, body)\n"
        "                is_new = await claim(session, reaction.name, envelope)\n"
        "            async with database.write() as session:\n"
        "                if is_new:\n"
        "                    await react(session, reaction.act, envelope, event)\n",
        _BACK,
    ),
    Safeguard(
        "what was taken in is written down",
        "chassis/inbox.py",
        "    if is_new := await claim(session, reaction.name, envelope):\n",
        "    if is_new := envelope is not None:\n",
        _TWICE,
    ),
    Safeguard(
        "an order has one notification at most",
        "services/notification/migrations/versions/0001_the_first_tables.py",
        '        sa.UniqueConstraint("order_id"),\n',
        "",
        tests(
            _FILE, "a_second_event_for_an_order_makes_no_second_notification[sqlite]"
        ),
    ),
    Safeguard(
        "a reaction is remembered by its name",
        "chassis/inbox.py",
        "return self.known_as or self.act.__name__",
        "return self.known_as or self.act.__module__",
        tests(
            "chassis/test_names_of_reactions",
            "the_names_of_the_reactions_are_kept[sqlite]",
        ),
    ),
    Safeguard(
        "a malformed event from the broker claims nothing",
        "chassis/inbox.py",
        "genuine or (envelope_of(body) if from_feed else None)",
        "genuine or envelope_of(body)",
        _FORGED,
    ),
    Safeguard(
        "an event comes from where its contract says",
        "chassis/delivered.py",
        "if envelope.source != where:",
        "if not where:",
        _FORGED,
    ),
    Safeguard(
        "an event is of the kind and version that is expected",
        "chassis/delivered.py",
        "if (envelope.type, envelope.dataschema) != (expected.topic(), what):",
        "if not what:",
        _FORGED,
    ),
    Safeguard(
        "a good event that fails for good claims its key",
        "chassis/inbox.py",
        "    claims = envelope and await claim(session, reaction.name, envelope, arrival)\n",
        "    claims = False\n",
        tests(
            _FILE,
            "a_good_event_that_fails_for_good_is_a_dead_letter_that_holds_its_key[sqlite]",
        ),
    ),
    Safeguard(
        "a dead letter holds a key only where it took it",
        "chassis/inbox.py",
        "    event_id = tried.event_id if claims else None\n",
        "    event_id = tried.event_id\n",
        tests(_FILE, "of_two_letters_under_one_id_the_first_holds_it[sqlite]"),
    ),
    Safeguard(
        "an event has a largest size, whatever it was wrapped in",
        "chassis/delivered.py",
        "if len(body) > LARGEST:",
        "if len(body) < 0:",
        tests(
            "chassis/test_large_deliveries",
            "the_largest_event_is_taken_in_from_the_dead_letter_topic_too[sqlite-1]",
        ),
    ),
    Safeguard(
        "a dead letter has a largest size",
        "chassis/dead_letter.py",
        '        "body": letter.body[:LARGEST],\n',
        '        "body": letter.body,\n',
        tests(
            "chassis/test_large_deliveries",
            "the_largest_event_is_taken_in_from_the_dead_letter_topic_too[sqlite-1]",
        ),
    ),
    Safeguard(
        "an event has no NUL",
        "chassis/cloud_event.py",
        "if _has_nul(self.model_dump()):",
        "if _has_nul(None):",
        _FORGED,
    ),
    Safeguard(
        "a version fits its column",
        "chassis/cloud_event.py",
        "Field(ge=0, lt=2**31)",
        "Field(ge=0)",
        tests(
            "order/test_notification_shown",
            "a_version_beyond_what_a_database_counts_is_a_dead_letter[sqlite]",
        ),
    ),
    Safeguard(
        "no reason forges a line of the log",
        "chassis/dead_letter.py",
        "len(letter.body), in_one_line(letter.reason)\n",
        "len(letter.body), letter.reason\n",
        tests(
            _FILE,
            "a_good_event_that_fails_for_good_is_a_dead_letter_that_holds_its_key[sqlite]",
        ),
    ),
    Safeguard(
        "a fault that may pass brings the event back",
        "chassis/inbox.py",
        "exc_info=trace)\n        return Status.RETRY",
        "exc_info=trace)\n        return Status.SUCCESS",
        _BACK,
    ),
    Safeguard(
        "a fault that may pass makes no dead letter",
        "chassis/inbox.py",
        "PERMANENT = (Unprocessable, Rejected, IntegrityError, DataError)",
        "PERMANENT = (Unprocessable, Rejected, StatementError, ArithmeticError)",
        tests(
            "chassis/test_attempt",
            "a_bug_that_goes_by_itself_makes_no_dead_letter[sqlite]",
        ),
    ),
    Safeguard(
        "what a reaction refuses for good does not come again",
        "chassis/inbox.py",
        "PERMANENT = (Unprocessable, Rejected, IntegrityError, DataError)",
        "PERMANENT = (Unprocessable, IntegrityError, DataError)",
        tests(
            "order/test_notification_shown", "what_is_about_no_order_is_one_dead_letter"
        ),
    ),
    Safeguard(
        "a value that the database never takes is refused for good",
        "chassis/database_away.py",
        "        return state.startswith(DATA_EXCEPTION)\n",
        "        return state is None\n",
        tests(
            _FILE,
            "postgresqls_answer_tells_whether_an_event_may_be_taken_in_later"
            "[sqlite-a text that is too long]",
        ),
    ),
    Safeguard(
        "a value that cannot even be sent to the database is refused for good",
        "chassis/database_away.py",
        "    return isinstance(error.orig, ArithmeticError | ValueError)\n",
        "    return False\n",
        tests(
            _HOSTILE,
            "a_value_that_cannot_even_be_sent_to_the_database_is_a_dead_letter[sqlite]",
        ),
    ),
    Safeguard(
        "a database that says no for now is asked again",
        "chassis/database_away.py",
        "    return state.startswith(NOT_NOW) or code",
        "    return code",
        tests(
            "chassis/test_database_away",
            "a_server_that_cannot_do_it_now_is_as_good_as_away[40001]",
        ),
    ),
    Safeguard(
        "an event has the same digest before it travels and after",
        "chassis/cloud_event.py",
        "json.dumps(said, sort_keys=True, ",
        "json.dumps(said, ",
        tests("chassis/test_digest", "what_travelled_has_the_same_digest[changes0]"),
    ),
    Safeguard(
        "a trace that Dapr writes anew makes no other event",
        "chassis/cloud_event.py",
        'exclude={"traceid", "traceparent"}',
        'exclude={"pubsubname"}',
        tests("chassis/test_digest", "what_travelled_has_the_same_digest[changes1]"),
    ),
    Safeguard(
        "other data make another digest",
        "chassis/cloud_event.py",
        'exclude={"traceid", "traceparent"}',
        'exclude={"traceid", "traceparent", "data"}',
        tests("chassis/test_digest", "what_says_something_else_has_another[changes3]"),
    ),
)
