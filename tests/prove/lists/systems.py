"""What a real broker and daprd do to it, and the ledger by which a run of faults is judged."""

from tests.prove.safeguard import Safeguard, tests

_LEDGER = "chaos/test_ledger"
_LOST = "a_lost_order_is_found_with_where_it_ended"

SAFEGUARDS = (
    Safeguard(
        "what was lost with a poisoned queue is pulled",
        "chassis/service.py",
        "[relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]",
        "[relay.loop(), _housekeeping(parts).loop(), *_watch(database)]",
        tests(
            "journeys/test_poison",
            "a_message_that_kills_the_sidecar_costs_no_order_and_a_purge_ends_it"
            "[rabbitmq-sqlite]",
        ),
        on_the_real_system=True,
    ),
    Safeguard(
        "what daprd moves to its dead-letter topic lands in the table",
        "chassis/subscriptions.py",
        '        letter = Letter(topic, body, "it is no event that is heard here")\n'
        "        return await keep(self._database, letter)\n",
        "        return Status.SUCCESS\n",
        tests(
            "journeys/test_dead_letters",
            "what_is_no_order_is_one_dead_letter_and_the_next_order_is_notified"
            "[rabbitmq-sqlite]",
        ),
        on_the_real_system=True,
    ),
    Safeguard(
        "the ledger finds an order that is not in the inbox",
        "tests/chaos/ledger.py",
        "    WHEN taken.event_id IS NULL THEN 'lost, not in the inbox'\n",
        "",
        tests(_LEDGER, f"{_LOST}[taken-lost, not in the inbox]"),
    ),
    Safeguard(
        "the ledger finds an order that has no notification",
        "tests/chaos/ledger.py",
        "IS NULL THEN 'lost, no notification'\n",
        "IS NULL THEN 'SENT'\n",
        tests(_LEDGER, f"{_LOST}[notification-lost, no notification]"),
    ),
    Safeguard(
        "the ledger finds a mail that is said to be sent and is nowhere",
        "tests/chaos/ledger.py",
        "    ) THEN 'lost, SENT and no mail'\n",
        "    ) THEN 'SENT'\n",
        tests(_LEDGER, "a_mail_that_is_said_to_be_sent_and_is_nowhere_is_lost"),
    ),
    Safeguard(
        "the ledger finds what does not come to its end",
        "tests/chaos/ledger.py",
        "WHEN notification.state NOT IN ('SENT', 'FAILED', 'HELD') THEN",
        "WHEN notification.state = 'NONE' THEN",
        tests(
            _LEDGER,
            "what_does_not_come_to_its_end_is_stuck[changed0-stuck, UNKNOWN]",
        ),
    ),
    Safeguard(
        "the ledger finds who was told twice",
        "tests/chaos/ledger.py",
        "WHEN 'line' THEN 1 ELSE",
        "WHEN 'line' THEN 2 ELSE",
        tests(_LEDGER, "a_second_line_is_found"),
    ),
    Safeguard(
        "the ledger finds a mail that somebody else got",
        "tests/chaos/ledger.py",
        "WHERE told.way NOT IN ('line', accepted.way)\"",
        "WHERE told.way = 'nothing'\"",
        tests(_LEDGER, "a_mail_to_somebody_else_is_found"),
    ),
    Safeguard(
        "the ledger finds lines that no end of a process cut off",
        "tests/chaos/ledger.py",
        "not any(wrong) and self.unprinted <= self.cut_off",
        "not any(wrong)",
        tests(
            _LEDGER,
            "lines_that_were_not_printed_are_found_beyond_what_ended_processes_explain"
            "[101-1-False]",
        ),
    ),
    Safeguard(
        "the ledger finds a mail that is held and that nothing explains",
        "tests/chaos/ledger.py",
        "self.dead_letters, self.unexplained\n",
        "self.dead_letters\n",
        tests(_LEDGER, "a_mail_that_is_held_for_no_such_reason_is_found[held0]"),
    ),
)
