"""Repairs: what is missing is found by its id, waited for as long as it needs, and said late or lost."""

from tests.prove.safeguard import Safeguard, tests

_IDS = "chassis/test_pull_by_ids"
_SETTLING = "chassis/test_settling"
_SAID = "chassis/test_repair_log"
_BEHIND = tests(_IDS, "where_much_is_missing_nothing_is_waited_for")
_LATE = tests(
    _IDS, "what_comes_after_it_was_pulled_is_late_and_the_next_is_given_longer"
)
_NAMED = "every_event_is_named_in_a_line_of_twenty_however_long_the_ids_are"
_LOOKED_FOR = "however_many_were_pulled_none_is_lost_that_was_not_looked_for"
_LAG = tests(_SAID, "a_reaction_that_is_behind_says_how_far_and_when_it_is_up_again")

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
        "a page that is taken in whole is no large one",
        "chassis/reconciler.py",
        "            until, limit, form = self.rebuilt_until, self.at_once, Form.FULL\n",
        "            until, limit, form = self.rebuilt_until, self.batch, Form.FULL\n",
        tests(
            "chassis/test_reconciler",
            "of_much_that_is_missing_so_many_are_taken_in_at_once",
        ),
    ),
    Safeguard(
        "behind an outage nothing is waited for",
        "chassis/reconciler.py",
        "            until, limit, form = self.rebuilt_until, self.at_once, Form.FULL\n",
        "            until, limit, form = self._settling.reached(), self.at_once, Form.FULL\n",
        _BEHIND,
    ),
    Safeguard(
        "after an outage what is pushed is given its time again",
        "chassis/reconciler.py",
        "            self._is_behind = False\n            self._lag.end()\n",
        "            self._lag.end()\n",
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
        "            self._settling.note_late(late)\n",
        "            pass\n",
        _LATE,
    ),
    Safeguard(
        "what never comes is said to be lost",
        "chassis/reconciler.py",
        "        self._repairs.lost(self._settling.give_up(awaited))\n",
        "        self._settling.give_up(awaited)\n",
        tests(_IDS, "what_never_comes_is_said_to_be_lost"),
    ),
    Safeguard(
        "what is lost is said once",
        "chassis/settling.py",
        "            for each in mine:\n                del pulled[each]\n",
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
        "                self._calm_since = self.clock()\n",
        "",
        tests(_SETTLING, "it_stays_while_others_are_late"),
    ),
    Safeguard(
        "every repair is named, however many there are",
        "chassis/repair_log.py",
        "        for at in range(0, len(ids), NAMED):\n",
        "        for at in range(0, min(len(ids), NAMED), NAMED):\n",
        tests(_SAID, f"{_NAMED}[60]"),
    ),
    Safeguard(
        "a line of repairs is not cut off",
        "chassis/repair_log.py",
        '", ".join(in_one_line(each) for each in ids[at : at + NAMED])',
        'in_one_line(", ".join(ids[at : at + NAMED]))',
        tests(_SAID, f"{_NAMED}[20]"),
    ),
    Safeguard(
        "each line of repairs says how many there were since the start",
        "chassis/repair_log.py",
        "        self._since_the_start[became] += len(ids)\n",
        "        self._since_the_start[became] = len(ids)\n",
        tests(_SAID, "each_line_states_how_many_there_were_since_the_start"),
    ),
    Safeguard(
        "what was taken in behind an outage is late or lost, too",
        "chassis/reconciler.py",
        "            self._settling.note_pulled(taken, waited=waited)\n",
        "            self._settling.note_pulled(taken if waited else [], waited=waited)\n",
        tests(_SAID, "what_was_taken_in_while_catching_up_is_late_or_lost_too"),
    ),
    Safeguard(
        "what was not waited for does not tell how long to wait",
        "chassis/settling.py",
        "        pulled = self._waited_for if waited else self._unwaited\n",
        "        pulled = self._waited_for\n",
        tests(_SETTLING, "what_was_not_waited_for_does_not_tell_how_long_to_wait"),
    ),
    Safeguard(
        "nothing is called lost that was not looked for",
        "chassis/settling.py",
        "[each for each in self._due(pulled) if each in looked]",
        "[each for each in self._due(pulled) if each]",
        tests(_SETTLING, f"{_LOOKED_FOR}[True]", f"{_LOOKED_FOR}[False]"),
    ),
    Safeguard(
        "all that may be lost is looked for",
        "chassis/settling.py",
        "            ids |= dict.fromkeys(self._due(pulled))\n",
        "            pass\n",
        tests(_SETTLING, f"{_LOOKED_FOR}[True]", f"{_LOOKED_FOR}[False]"),
    ),
    Safeguard(
        "what may be lost is looked for to the last of many",
        "chassis/reconciler.py",
        "    for at in range(0, len(awaited), WATCHED):\n",
        "    for at in range(0, min(len(awaited), WATCHED), WATCHED):\n",
        tests(_SAID, "of_many_that_came_after_all_none_is_said_to_be_lost"),
    ),
    Safeguard(
        "that a reaction is behind is said",
        "chassis/reconciler.py",
        "        self._lag.note(brought, is_behind=is_behind)\n",
        "",
        _LAG,
    ),
    Safeguard(
        "that a reaction is up again is said",
        "chassis/reconciler.py",
        "            self._is_behind = False\n            self._lag.end()\n",
        "            self._is_behind = False\n",
        _LAG,
    ),
    Safeguard(
        "what is pulled alone is behind while there is more of it",
        "chassis/reconciler.py",
        "self._is_behind if self.settle else is_full",
        "self._is_behind",
        tests(_SAID, "what_is_pulled_alone_is_behind_while_pages_are_full"),
    ),
    Safeguard(
        "what a rebuild restores is not said to be lost",
        "chassis/reconciler.py",
        "        if self.rebuilt_until:\n            return  #",
        "        if not self.reaction:\n            return  #",
        tests(_SAID, "what_a_rebuild_restores_is_neither_behind_nor_lost"),
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
        tests(
            "chassis/test_pull_by_ids",
            "what_is_in_a_page_twice_is_acted_on_once[by-itself]",
        ),
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
