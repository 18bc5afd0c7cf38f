"""The relay: claim, publish and mark, whatever the broker does meanwhile."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "chassis/test_relay"
_CLAIMS = "chassis/test_relay_claims"
_SHARED = "chassis/test_relay_on_postgresql"

SAFEGUARDS = (
    Safeguard(
        "whoever's lease ran out marks nothing",
        "chassis/relay.py",
        "    return and_(outbox.c.state == State.LEASED, outbox.c.owner == owner, mine)\n",
        "    return outbox.c.position.in_([each.position for each in rows])\n",
        tests(_FILE, "a_relay_whose_lease_ran_out_marks_nothing[sqlite]"),
    ),
    Safeguard(
        "a relay marks only what it holds",
        "chassis/relay.py",
        "return and_(outbox.c.state == State.LEASED, outbox.c.owner == owner, mine)",
        "return and_(outbox.c.state == State.LEASED, mine)",
        tests(
            _FILE,
            "a_relay_marks_nothing_that_another_holds_at_the_same_attempt[sqlite]",
        ),
    ),
    Safeguard(
        "a relay marks only its own attempt",
        "chassis/relay.py",
        "and_(outbox.c.position == row.position, outbox.c.attempt == row.attempt)",
        "outbox.c.position == row.position",
        tests(
            _CLAIMS,
            "a_relay_whose_lease_ran_out_marks_nothing_though_it_holds_it_again[sqlite]",
        ),
    ),
    Safeguard(
        "a lease that is over is free",
        "chassis/relay.py",
        "or_(lease <= now, lease > longest)",
        "lease > longest",
        tests(_FILE, "a_lease_that_is_over_is_taken_by_the_next[sqlite-over]"),
    ),
    Safeguard(
        "a lease from before the clock was set back is free",
        "chassis/relay.py",
        "or_(lease <= now, lease > longest)",
        "lease <= now",
        tests(
            _FILE, "a_lease_that_is_over_is_taken_by_the_next[sqlite-clock set back]"
        ),
    ),
    Safeguard(
        "a lease of a replica whose clock is a little ahead holds",
        "chassis/relay.py",
        "    longest = now + LEASE + ambient.CLOCKS_APART\n",
        "    longest = now + LEASE\n",
        tests(_CLAIMS, "what_a_relay_holds_whose_clock_is_ahead_is_not_taken[sqlite]"),
    ),
    Safeguard(
        "a lease that is not over holds",
        "chassis/relay.py",
        "and_(outbox.c.state == State.LEASED, or_(lease <= now, lease > longest)),",
        "outbox.c.state == State.LEASED,",
        tests(_CLAIMS, "two_relays_share_what_there_is[sqlite]"),
    ),
    Safeguard(
        "what another relay is claiming is passed over",
        "chassis/relay.py",
        "        .with_for_update(skip_locked=True)\n",
        "",
        tests(_SHARED, "two_relays_that_claim_at_once_wait_for_nobody"),
    ),
    Safeguard(
        "an event that was refused waits",
        "chassis/relay.py",
        "            or_(due.is_(None), due <= now, due > now + LONGEST_WAIT),\n",
        "",
        tests(_CLAIMS, "an_event_that_was_refused_waits_and_the_others_do_not[sqlite]"),
    ),
    Safeguard(
        "what was due when the clock was ahead is due",
        "chassis/relay.py",
        "or_(due.is_(None), due <= now, due > now + LONGEST_WAIT)",
        "or_(due.is_(None), due <= now)",
        tests(_CLAIMS, "what_was_due_when_the_clock_was_ahead_is_due_now[sqlite]"),
    ),
    Safeguard(
        "after trouble one event is tried",
        "chassis/relay.py",
        ".limit(1 if probing else BATCH)",
        ".limit(BATCH)",
        tests(
            _FILE, "an_outage_counts_against_no_event_and_is_probed_with_one[sqlite]"
        ),
    ),
    Safeguard(
        "a probe takes what was tried least",
        "chassis/relay.py",
        "if probing else (outbox.c.position,)",
        "if owner is None else (outbox.c.position,)",
        tests(_FILE, "a_probe_takes_the_event_that_was_tried_least[sqlite]"),
    ),
    Safeguard(
        "an outage counts against no event",
        "chassis/relay.py",
        "update(outbox).where(_fence(self.owner, rows)).values(_FREE)",
        "update(outbox).where(_fence(self.owner, rows))"
        ".values({**_FREE, outbox.c.refusals: outbox.c.refusals + 1})",
        tests(
            _FILE, "an_outage_counts_against_no_event_and_is_probed_with_one[sqlite]"
        ),
    ),
    Safeguard(
        "after an outage all events are free at once",
        "chassis/relay.py",
        "            await self._release(claimed)\n",
        "",
        tests(
            _FILE, "an_outage_counts_against_no_event_and_is_probed_with_one[sqlite]"
        ),
    ),
    Safeguard(
        "an event is parked after refusals of its own, and not after one",
        "chassis/relay.py",
        "State.PARKED if refusals >= REFUSALS else State.PENDING",
        "State.PARKED if refusals >= 1 else State.PENDING",
        tests(_FILE, "a_malformed_event_does_not_take_its_batch_with_it[sqlite]"),
    ),
    Safeguard(
        "an event that is refused again and again is parked",
        "chassis/relay.py",
        "State.PARKED if refusals >= REFUSALS else State.PENDING",
        "State.PARKED if refusals < 0 else State.PENDING",
        tests(
            _FILE,
            "an_event_that_is_refused_alone_is_parked_and_holds_nobody_up[sqlite]",
        ),
    ),
    Safeguard(
        "a malformed event does not take its batch with it",
        "chassis/relay.py",
        "            refused = await self._offer_each(topic, entries)\n",
        "            refused = dict.fromkeys((each.id for each in entries), topic)\n",
        tests(_FILE, "a_malformed_event_does_not_take_its_batch_with_it[sqlite]"),
    ),
    Safeguard(
        "what a dead relay had claimed is free at the start",
        "chassis/relay.py",
        "update(outbox).where(leased).values(_FREE)",
        "select(outbox.c.position).where(leased)",
        tests(
            _FILE, "what_a_dead_process_had_claimed_is_published_by_the_next[sqlite]"
        ),
    ),
    Safeguard(
        "what another relay has claimed is not free at the start of this one",
        "chassis/relay.py",
        "            leased = and_(leased, outbox.c.owner == self.owner)\n",
        "            leased = and_(leased, outbox.c.owner.is_not(None))\n",
        tests(_SHARED, "a_relay_that_starts_takes_nothing_from_another"),
    ),
    Safeguard(
        "an event is published with its own id",
        "chassis/relay.py",
        "Entry(row.event_id, row.event)",
        "Entry(str(row.position), row.event)",
        tests(
            _FILE,
            "an_event_that_is_refused_alone_is_parked_and_holds_nobody_up[sqlite]",
        ),
    ),
    Safeguard(
        "an event that was refused is not marked as published",
        "chassis/sidecar.py",
        "        if failed:\n            return failed\n",
        "        if failed:\n            return {}\n",
        tests(
            _FILE,
            "an_event_that_is_refused_alone_is_parked_and_holds_nobody_up[sqlite]",
        ),
    ),
    Safeguard(
        "only an answer without a body says that all was taken",
        "chassis/sidecar.py",
        "        if answer.status_code == 204:\n            return {}\n"
        "        failed = _failed_entries(answer)\n",
        "        if answer.is_success or answer.status_code == 500:\n            return {}\n"
        "        failed = _failed_entries(answer)\n",
        tests(
            _FILE, "an_outage_counts_against_no_event_and_is_probed_with_one[sqlite]"
        ),
    ),
    Safeguard(
        "a call to the sidecar has a deadline",
        "chassis/sidecar.py",
        "async with asyncio.timeout(deadline):",
        "async with asyncio.timeout(deadline * 1000):",
        tests(
            "conformance/test_outages",
            "a_sidecar_that_does_not_answer_is_unavailable_after_the_deadline[simulated]",
        ),
    ),
    Safeguard(
        "a loop in trouble asks more and more slowly",
        "chassis/loop.py",
        "self.first_pause * 2 ** min(self._failures - 1, 10)",
        "self.first_pause",
        tests(
            "chassis/test_loop",
            "trouble_is_tried_again_ever_more_slowly_and_said_once",
        ),
    ),
)
