"""What is forged: it takes nobody's place, and where it did, the sender's feed puts it right."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "notification/test_forged"
_HEARS = tests(
    _FILE, "the_customer_hears_what_the_order_service_says[sqlite-lie0-SENT]"
)
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
        "        await react(session, reaction.correct, envelope, event)\n",
        "        pass\n",
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
        'inbox.c.digest.not_in([digest, b""])',
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
        "    if _said(there) == _said(right):\n        return\n",
        "",
        tests(_FILE, "who_was_told_the_truth_is_not_told_again[sqlite]"),
    ),
    Safeguard(
        "of a notification that is corrected it is said on where that ended",
        _REACTION,
        "    right.version = there.version\n",
        "",
        tests(_FILE, "it_is_another_notification_of_which_more_is_said[sqlite]"),
    ),
    Safeguard(
        "whoever sends the forged notification marks nothing any more",
        _REACTION,
        "    right.version = there.version\n",
        "    right.version, right.id = there.version, there.id\n",
        tests(_FILE, "it_is_another_notification_of_which_more_is_said[sqlite]"),
    ),
    Safeguard(
        "a forged event that became a dead letter does not keep the true one out",
        _REACTION,
        "        await notify_customer_on_order_created(event, envelope, session)\n",
        "",
        tests(
            _FILE,
            "what_is_forged_and_a_dead_letter_does_not_keep_the_true_one_out[sqlite]",
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
