"""Repairs: what is missing is found by its id, waited for as long as it needs, and said late or lost."""

from tests.prove.safeguard import Safeguard, tests

_IDS = "chassis/test_pull_by_ids"
_SETTLING = "chassis/test_settling"
_BEHIND = tests(_IDS, "where_much_is_missing_nothing_is_waited_for")
_LATE = tests(
    _IDS, "what_comes_after_it_was_pulled_is_late_and_the_next_is_given_longer"
)

SAFEGUARDS = (
    Safeguard(
        "what is there is not asked for in full",
        "chassis/repair.py",
        "if each.id not in known or differs(known[each.id], _digest(each))",
        "if each.id",
        tests(_IDS, "what_is_there_is_compared_by_its_id_and_digest_alone"),
    ),
    Safeguard(
        "what is asked for by its id is what is given",
        "chassis/feed_page.py",
        "    if found.keys() != asked:\n",
        "    if not found:\n",
        tests(_IDS, "other_events_than_were_asked_for_are_refused_whole[found7]"),
    ),
    Safeguard(
        "behind an outage the feed is read in full",
        "chassis/reconciler.py",
        "        return bool(self.settle) and len(missing) > MOST_BY_ID\n",
        "        return False\n",
        _BEHIND,
    ),
    Safeguard(
        "behind an outage nothing is waited for",
        "chassis/reconciler.py",
        "            until, limit, form = self.rebuilt_until, self.batch, Form.FULL\n",
        "            until, limit, form = self._settling.reached(), self.batch, Form.FULL\n",
        _BEHIND,
    ),
    Safeguard(
        "after an outage what is pushed is given its time again",
        "chassis/reconciler.py",
        "            self._is_behind = False\n            return False\n",
        "            return False\n",
        tests(_IDS, "after_a_backlog_what_is_pushed_is_given_its_time_again"),
    ),
    Safeguard(
        "an outage has ended where little is missing",
        "chassis/reconciler.py",
        "        was_behind, self._is_behind = self._is_behind, self._is_much(missing)\n",
        "        was_behind = self._is_behind\n"
        "        self._is_behind = was_behind or self._is_much(missing)\n",
        tests(_IDS, "a_backlog_has_ended_where_little_of_a_page_is_missing"),
    ),
    Safeguard(
        "what comes after it was pulled is known as late",
        "chassis/inbox.py",
        "    elif there.arrival == Arrival.PULLED:\n",
        "    elif not there:\n",
        _LATE,
    ),
    Safeguard(
        "what comes after what was late is given longer",
        "chassis/reconciler.py",
        "            settling.note_late(late)\n",
        "            pass\n",
        _LATE,
    ),
    Safeguard(
        "what never comes is said to be lost",
        "chassis/reconciler.py",
        '        _say(settling.give_up(), f"%d of {topic} were lost by the broker")\n',
        "        settling.give_up()\n",
        tests(_IDS, "what_never_comes_is_said_to_be_lost"),
    ),
    Safeguard(
        "what is lost is said once",
        "chassis/settling.py",
        "        for each in lost:\n            del self._pulled[each]\n",
        "",
        tests(_SETTLING, "each_that_is_lost_is_named_once"),
    ),
    Safeguard(
        "nothing is given longer than is bearable",
        "chassis/settling.py",
        "min(max(self.age, needed), max(LONGEST, self.least))",
        "max(self.age, needed)",
        tests(_SETTLING, "it_grows_to_what_was_needed_and_no_further[40-30.0]"),
    ),
    Safeguard(
        "after a calm time what is pushed is given less long",
        "chassis/settling.py",
        "max(self.least, self.age / 2)",
        "self.age",
        tests(_SETTLING, "it_halves_in_each_calm_minute_down_to_what_it_was"),
    ),
    Safeguard(
        "while others are late nothing is given less long",
        "chassis/settling.py",
        "            self._calm_since = self.clock()\n",
        "",
        tests(_SETTLING, "it_stays_while_others_are_late"),
    ),
    Safeguard(
        "who begins anew forgets the places of the feed before",
        "chassis/reconciler.py",
        "        self._settling.forget()\n",
        "",
        tests(
            "chassis/test_reconciler_in_trouble",
            "a_backup_of_the_sender_makes_it_begin_anew_and_miss_nothing",
        ),
    ),
    Safeguard(
        "a page is taken in at once",
        "chassis/repair.py",
        "            new = await _act_on_all(session, reaction, bodies)\n",
        "            new = [await _take_in(session, reaction, body) for body in bodies]\n",
        tests("chassis/test_pull_by_ids", "a_page_is_taken_in_with_few_statements"),
    ),
    Safeguard(
        "one that cannot be taken in takes no other of its page with it",
        "chassis/repair.py",
        "        if is_away(error):\n            raise\n        new = ",
        "        if bodies:\n            raise\n        new = ",
        tests(
            "chassis/test_pull_by_ids",
            "one_that_cannot_be_taken_in_takes_no_other_of_its_page_with_it",
        ),
    ),
    Safeguard(
        "what is in a page twice is acted on once",
        "chassis/repair.py",
        "            unseen.remove(envelope.id)  # what is there twice is acted on once\n",
        "",
        tests("chassis/test_pull_by_ids", "what_is_in_a_page_twice_is_acted_on_once"),
    ),
    Safeguard(
        "who releases many ends between two",
        "services/notification/release.py",
        "at_a_rate(orders, rate, stop)",
        "at_a_rate(orders, rate, asyncio.Event())",
        tests(
            "notification/test_releasing_many",
            "it_ends_between_two_when_it_is_told_to_stop[sqlite]",
        ),
    ),
)
