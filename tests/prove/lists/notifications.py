"""Notifications: each customer is told once, and what nobody knows is said."""

from tests.prove.safeguard import Safeguard, tests

_DISPATCHER = "notification/test_dispatcher"
_UNKNOWN = "notification/test_unknown_mail"
_MAIL = "notification/test_mail"
_AFTER_A_CRASH = "what_a_dead_process_was_sending_is_settled_by_the_next"

SAFEGUARDS = (
    Safeguard(
        "a notification is committed as SENDING before it leaves",
        "services/notification/dispatcher.py",
        "            return await outcomes.claim(session, *mine, keyed=keyed)\n",
        "            claimed = await outcomes.claim(session, *mine, keyed=keyed)\n"
        "            for each in claimed:\n"
        "                await self._is_delivered(each)\n"
        "            return claimed\n",
        tests(
            _DISPATCHER,
            "a_notification_is_committed_as_sending_before_it_leaves[sqlite]",
        ),
    ),
    Safeguard(
        "a mail that a crash cut off is UNKNOWN, and never READY",
        "services/notification/dispatcher.py",
        "            if self.channel is Channel.CONSOLE:\n",
        "            if self.channel:\n",
        tests(_DISPATCHER, f"{_AFTER_A_CRASH}[sqlite-jane@example.org]"),
    ),
    Safeguard(
        "a line that a crash cut off is READY again",
        "services/notification/dispatcher.py",
        "            if self.channel is Channel.CONSOLE:\n",
        "            if not self.channel:\n",
        tests(_DISPATCHER, f"{_AFTER_A_CRASH}[sqlite-None]"),
    ),
    Safeguard(
        "the simulation finds a customer who is told twice",
        "services/notification/dispatcher.py",
        "            after_commit(session, partial(_print, marked))\n",
        "            _print(marked)\n",
        faults=("commit 30: full",),
    ),
    Safeguard(
        "the simulation finds a mail that is sent again as if it had not been sent",
        "chassis/sidecar.py",
        "            raise OutcomeUnknown(reason, pending=True) from error\n",
        "            raise SidecarUnavailable(reason) from error\n",
        faults=("send 1: lose the answer",),
    ),
    Safeguard(
        "what was being sent when a process died is settled at the next start",
        "services/notification/dispatcher.py",
        "        await self._settle(claimed)\n",
        "        await self._settle(claimed & ~claimed)\n",
        tests(_DISPATCHER, f"{_AFTER_A_CRASH}[sqlite-jane@example.org]"),
    ),
    Safeguard(
        "what another process is sending is left alone",
        "services/notification/dispatcher.py",
        "            claimed = and_(claimed, Notification.owner == self.owner)\n",
        "            claimed = and_(claimed, Notification.owner.is_not(None))\n",
        tests(
            "notification/test_dispatcher_on_postgresql",
            "what_another_process_is_sending_is_left_alone",
        ),
    ),
    Safeguard(
        "what another process is claiming is passed over",
        "services/notification/outcomes.py",
        "        .with_for_update(skip_locked=True)\n",
        "",
        tests(
            "notification/test_dispatcher_on_postgresql",
            "two_that_claim_at_once_do_not_send_the_same",
        ),
    ),
    Safeguard(
        "a mail of which nobody knows is sent once more, and then held",
        "services/notification/outcomes.py",
        'true() if policy == "hold" else in_doubt.is_not(None)',
        'true() if policy == "hold" else Notification.version < 0',
        tests(_UNKNOWN, "a_mail_that_is_unknown_again_is_held[sqlite]"),
    ),
    Safeguard(
        "a mail of which nobody knows is held where that is the policy",
        "services/notification/outcomes.py",
        'true() if policy == "hold" else in_doubt.is_not(None)',
        "in_doubt.is_not(None)",
        tests(
            _UNKNOWN,
            "where_mails_are_held_one_of_which_nobody_knows_is_never_sent_again"
            "[sqlite-time-out]",
        ),
    ),
    Safeguard(
        "a mail without an answer may have been sent",
        "chassis/sidecar.py",
        "            raise OutcomeUnknown(reason, pending=True) from error\n",
        "            raise SidecarUnavailable(reason) from error\n",
        tests(
            _UNKNOWN,
            "a_mail_of_which_nobody_knows_is_sent_once_more_and_not_at_once"
            "[sqlite-time-out]",
        ),
    ),
    Safeguard(
        "what daprd says that nobody here knows may have been sent",
        "chassis/binding_refusals.py",
        "            return Refusal(reason, permanent)\n    return None\n",
        "            return Refusal(reason, permanent)\n    return Refusal(reason, False)\n",
        tests(
            "chassis/test_binding_refusals", "what_may_have_been_sent_is_not_refused"
        ),
    ),
    Safeguard(
        "a mail that daprd may still be at is given time",
        "services/notification/dispatcher.py",
        "due = _abandoned() if is_at_it else _due(notification)",
        "due = _due(notification)",
        tests(
            _UNKNOWN,
            "a_mail_of_which_nobody_knows_is_sent_once_more_and_not_at_once"
            "[sqlite-time-out]",
        ),
    ),
    Safeguard(
        "one mail is under way at a time",
        "services/notification/dispatcher.py",
        "        return Loop(name, self.step, self.reclaim, signal, lock)\n",
        "        import asyncio\n\n"
        "        async def both() -> bool:\n"
        "            return any(await asyncio.gather(self.step(), self.step()))\n\n"
        "        return Loop(name, both, self.reclaim, signal, lock)\n",
        tests(
            _MAIL,
            "one_mail_is_under_way_at_a_time_and_each_is_its_customers_own[sqlite]",
        ),
    ),
    Safeguard(
        "each mail says its own recipient",
        "services/notification/channels.py",
        'metadata = {"emailTo": to, ',
        'metadata = {"emailTo": "somebody@example.org", ',
        tests(_MAIL, "a_mail_goes_to_its_customer_about_their_order[sqlite]"),
    ),
    Safeguard(
        "a name in a mail is text, whatever it contains",
        "services/notification/channels.py",
        "customer_name=html.escape(notification.customer_name)",
        "customer_name=notification.customer_name",
        tests(
            "notification/test_mail_text",
            "whatever_a_name_contains_is_shown_as_text",
        ),
    ),
    Safeguard(
        "a line is printed after its commit",
        "services/notification/dispatcher.py",
        "            after_commit(session, partial(_print, marked))\n",
        "            _print(marked)\n",
        tests(_DISPATCHER, "no_line_is_printed_whose_commit_fails[sqlite]"),
    ),
    Safeguard(
        "what went out is not forgotten before it is stored",
        "services/notification/dispatcher.py",
        "            marked = await outcomes.mark_sent(session, mine)\n",
        "            self._delivered.clear()\n"
        "            marked = await outcomes.mark_sent(session, mine)\n",
        tests(
            _DISPATCHER,
            "nothing_is_printed_before_sent_is_committed[sqlite-jane@example.org]",
        ),
    ),
    Safeguard(
        "what became of a notification is told in the same transaction",
        "services/notification/outcomes.py",
        "    await outbox.put(session, [_letter(session, each) for each in found])\n",
        "",
        tests(
            _MAIL, "what_went_wrong_and_the_event_are_one_transaction[sqlite-failed]"
        ),
    ),
    Safeguard(
        "only who claimed a notification marks it",
        "services/notification/outcomes.py",
        "return and_(held, Notification.owner == owner, mine)",
        "return and_(held, mine)",
        tests(_DISPATCHER, "the_answer_of_another_owner_does_not_count[sqlite]"),
    ),
    Safeguard(
        "a late answer does not count when it is being tried again",
        "services/notification/outcomes.py",
        "and_(Notification.id == each.id, Notification.attempt == each.attempt)",
        "Notification.id == each.id",
        tests(
            _DISPATCHER,
            "a_late_answer_does_not_count_when_it_is_being_tried_again[sqlite-the first]",
        ),
    ),
    Safeguard(
        "a late answer counts until it is tried again",
        "services/notification/outcomes.py",
        "Notification.state.in_([State.SENDING, State.UNKNOWN, State.HELD])",
        "Notification.state == State.SENDING",
        tests(
            _DISPATCHER,
            "a_late_answer_counts_until_it_is_tried_again[sqlite-resend-UNKNOWN]",
        ),
    ),
    Safeguard(
        "what was sent or refused is not marked again",
        "services/notification/outcomes.py",
        "    return and_(held, Notification.owner == owner, mine)\n",
        "    return and_(held.is_not(None), Notification.owner == owner, mine)\n",
        tests(_DISPATCHER, "what_was_sent_is_sent_and_is_said_once[sqlite]"),
    ),
    Safeguard(
        "what is not due waits",
        "services/notification/outcomes.py",
        "        or_(due.is_(None), due <= now, due > now + LONGEST_WAIT),\n",
        "",
        tests(_DISPATCHER, "what_is_not_due_waits_and_the_others_do_not[sqlite]"),
    ),
    Safeguard(
        "what is due when the clock was ahead is due now",
        "services/notification/outcomes.py",
        "or_(due.is_(None), due <= now, due > now + LONGEST_WAIT)",
        "or_(due.is_(None), due <= now)",
        tests(_DISPATCHER, "what_is_due_when_the_clock_was_ahead_is_due_now[sqlite]"),
    ),
    Safeguard(
        "a claim that nobody answers for is settled",
        "services/notification/outcomes.py",
        "or_(until <= now, until > longest)",
        "or_(until > longest)",
        tests(
            _DISPATCHER,
            "a_claim_that_nobody_answers_for_is_settled[sqlite-has ended]",
        ),
    ),
    Safeguard(
        "a claim that was made when the clock was ahead is settled",
        "services/notification/outcomes.py",
        "or_(until <= now, until > longest)",
        "or_(until <= now)",
        tests(
            _DISPATCHER,
            "a_claim_that_nobody_answers_for_is_settled"
            "[sqlite-was made when the clock was ahead]",
        ),
    ),
    Safeguard(
        "a claim of a replica whose clock is a little ahead holds",
        "services/notification/outcomes.py",
        "    return now + LEASE + ambient.CLOCKS_APART\n",
        "    return now + LEASE\n",
        tests(_DISPATCHER, "a_claim_that_still_holds_is_left_alone[sqlite-left1]"),
    ),
    Safeguard(
        "a claim outlasts its call",
        "services/notification/outcomes.py",
        "LEASE = timedelta(seconds=60)",
        "LEASE = timedelta(seconds=20)",
        tests(_MAIL, "a_claim_outlasts_the_call_and_what_is_asked_before_it"),
    ),
    Safeguard(
        "a channel in trouble pauses",
        "services/notification/dispatcher.py",
        "        raise ChannelUnavailable(reason)\n",
        "",
        tests(_MAIL, "the_channel_pauses_and_then_the_others_go_on[sqlite]"),
    ),
    Safeguard(
        "a mail that is refused for now waits longer each time",
        "services/notification/dispatcher.py",
        "    longest = timedelta(seconds=2 ** min(notification.attempt - 1, 20))\n",
        "    longest = timedelta(seconds=min(notification.attempt, 1))\n",
        tests(_MAIL, "a_mail_that_is_refused_for_now_waits_longer_each_time[sqlite]"),
    ),
    Safeguard(
        "news that is old does not overwrite what is newer",
        "services/order/model.py",
        "        Order.id == order_id, Order.notification_version < version\n",
        "        Order.id == order_id\n",
        tests(
            "order/test_notification_shown", "what_comes_late_changes_nothing[sqlite-1]"
        ),
    ),
    Safeguard(
        "news of the same version does not overwrite what was first",
        "services/order/model.py",
        "Order.notification_version < version",
        "Order.notification_version <= version",
        tests(
            "order/test_notification_shown", "what_comes_late_changes_nothing[sqlite-2]"
        ),
    ),
)
