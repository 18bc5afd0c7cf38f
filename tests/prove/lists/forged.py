"""What is forged: it takes nobody's place, and where it did, the sender's feed puts it right."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "notification/test_forged"
_HEARS = tests(
    _FILE, "the_customer_hears_what_the_order_service_says[sqlite-lie0-SENT]"
)
_PLACES = "notification/test_forged_places"
_FAILS = "a_correction_that_fails_is_a_dead_letter_and_replayed_it_corrects"
_REACTION = (
    "services/notification/reactions/notify_customer_on_order_created.py"  # of both
)

SAFEGUARDS = (
    Safeguard(
        "what is there is compared by its digest",
        "chassis/repair.py",
        "if each.id not in known or differs(known[each.id], _digest(each))",
        "if each.id not in known",
        _HEARS,
    ),
    Safeguard(
        "what is there is compared by its digest where much is missing",
        "chassis/repair.py",
        "        return digest_of(CloudEvent.model_validate(listed.event))\n",
        "        return b''\n",
        tests(_FILE, "one_that_is_forged_is_found_where_much_is_missing[sqlite]"),
    ),
    Safeguard(
        "what was taken in for a forged event is corrected",
        "chassis/repair.py",
        " and reaction.correct:\n        await react(session, reaction.correct, envelope, event)\n",
        " and reaction.correct:\n        pass\n",
        _HEARS,
    ),
    Safeguard(
        "the inbox knows what was corrected by the true event",
        "chassis/repair.py",
        "        .values(digest=digest, arrival=Arrival.CORRECTED)\n",
        "        .values(arrival=Arrival.CORRECTED)\n",
        _HEARS,
    ),
    Safeguard(
        "what counts is what an event says, and not the digest beside it",
        "chassis/repair.py",
        'inbox.c.digest.not_in([digest_of(envelope), b""])',
        'inbox.c.digest != b""',
        tests(
            _FILE, "a_sender_that_reckons_digests_otherwise_corrects_nothing[sqlite]"
        ),
    ),
    Safeguard(
        "a digest that is not known says nothing",
        "chassis/inbox.py",
        "    return bool(one and other) and one != other\n",
        "    return one != other\n",
        tests(
            _FILE,
            "what_comes_again_and_was_taken_in_before_there_were_digests_alarms_nobody"
            "[sqlite]",
        ),
    ),
    Safeguard(
        "what is forged afterwards is said",
        "chassis/inbox.py",
        "    if differs(there.digest, digest_of(envelope)):\n",
        "    if not there:\n",
        tests(_FILE, "what_is_forged_afterwards_changes_nothing_and_is_said[sqlite]"),
    ),
    Safeguard(
        "who was told the truth is not told again",
        _REACTION,
        "    if true:\n",
        "    if not there:\n",
        tests(_FILE, "who_was_told_the_truth_is_not_told_again[sqlite]"),
    ),
    Safeguard(
        "of a notification that is corrected it is said on where that ended",
        _REACTION,
        "    right.version = max((each.version for each in there), default=0)\n",
        "",
        tests(_FILE, "it_is_another_notification_of_which_more_is_said[sqlite]"),
    ),
    Safeguard(
        "whoever sends the forged notification marks nothing any more",
        _REACTION,
        "    right.version = max((each.version for each in there), default=0)\n",
        "    right.version, right.id = there[0].version, there[0].id\n",
        tests(_FILE, "it_is_another_notification_of_which_more_is_said[sqlite]"),
    ),
    Safeguard(
        "a forged event that became a dead letter does not keep the true one out",
        "chassis/inbox.py",
        "    if reaction.correct and not from_feed and isinstance(error, IntegrityError):\n",
        "    if reaction.correct and not envelope:\n",
        tests(
            _FILE,
            "what_is_forged_and_a_dead_letter_does_not_keep_the_true_one_out[sqlite]",
        ),
    ),
    Safeguard(
        "the letter of what the feed says holds its key, also where another has its place",
        "chassis/inbox.py",
        "    if reaction.correct and not from_feed and isinstance(error, IntegrityError):\n",
        "    if not from_feed and isinstance(error, IntegrityError):\n",
        tests(
            "chassis/test_inbox",
            "a_good_event_that_fails_for_good_is_a_dead_letter_that_holds_its_key[sqlite]",
        ),
    ),
    Safeguard(
        "what has the place of a true event gives way to it",
        "chassis/repair.py",
        "        if not reaction.correct:\n",
        "        if reaction:\n",
        tests(
            _PLACES,
            "an_order_that_a_forged_event_names_is_its_true_events[sqlite-SENT]",
        ),
    ),
    Safeguard(
        "what was said of an order by another's event is found by the order",
        _REACTION,
        "or_(its_events, its_orders)",
        "its_events",
        tests(
            _PLACES,
            "an_order_that_a_forged_event_names_is_its_true_events[sqlite-SENT]",
        ),
    ),
    Safeguard(
        "what was said under an event's id about another order is found by the event",
        _REACTION,
        "or_(its_events, its_orders)",
        "its_orders",
        tests(_PLACES, "two_that_are_forged_about_one_event_give_way_both[sqlite]"),
    ),
    Safeguard(
        "what is true is left, whichever event had said it first",
        _REACTION,
        "        true[0].caused_by = right.caused_by\n",
        "",
        tests(
            _PLACES,
            "one_forged_under_an_id_that_names_another_order_keeps_nobody_out"
            "[sqlite-John Doe-1]",
        ),
    ),
    Safeguard(
        "a correction waits for who is marking what it corrects",
        _REACTION,
        ".with_for_update()",
        "",
        tests(
            "notification/test_forged_on_postgresql",
            "what_is_said_of_it_meanwhile_is_not_said_again_with_its_version",
        ),
    ),
    Safeguard(
        "the letter of a correction that failed holds the event's key",
        "chassis/repair.py",
        "        await _free_of_another(session, reaction, body)\n",
        "",
        tests(_FILE, f"{_FAILS}[sqlite]"),
    ),
    Safeguard(
        "the letter of a correction that failed corrects what it finds",
        "chassis/dead_letter_end.py",
        "reaction.correct or reaction.act",
        "reaction.act",
        tests(_FILE, f"{_FAILS}[sqlite]"),
    ),
    Safeguard(
        "a forged letter that the feed overruled is not acted on",
        "chassis/dead_letter_end.py",
        "    if holds and await is_there(session, reaction.name, envelope):\n",
        "    if holds:\n",
        tests(_FILE, "a_forged_letter_that_the_feed_overruled_is_not_acted_on[sqlite]"),
    ),
)
