"""Idempotency-Key: what is sent again is carried out once."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "order/test_idempotency"

SAFEGUARDS = (
    Safeguard(
        "a key is taken once",
        "chassis/idempotency.py",
        "            if known := await _claim(session, request.app.state.database, once):\n",
        "            known = await _claim(session, request.app.state.database, once)\n"
        "            if known and not known.status:\n",
        tests(_FILE, "what_is_sent_again_is_answered_the_same_and_placed_once[sqlite]"),
    ),
    Safeguard(
        "a key and its order are one transaction",
        "chassis/idempotency.py",
        "            request.state.session = session\n",
        "",
        tests(_FILE, "a_key_whose_order_cannot_be_committed_is_free[postgresql]"),
    ),
    Safeguard(
        "a key belongs to one request",
        "chassis/idempotency.py",
        "    if known.fingerprint != once.fingerprint:",
        "    if not known.fingerprint:",
        tests(_FILE, "a_key_with_another_request_is_refused[sqlite]"),
    ),
    Safeguard(
        "a key belongs to one caller",
        "chassis/idempotency.py",
        '    caller = request.headers.get(CALLER, "")\n',
        '    caller = ""\n',
        tests(_FILE, "another_callers_key_is_another_key[sqlite-shop]"),
    ),
    Safeguard(
        "an answer of trouble frees its key",
        "chassis/idempotency.py",
        "if answer.status_code >= 500 or answer.status_code == 429:",
        "if answer.status_code > 599:",
        tests(_FILE, "trouble_that_a_route_answers_with_is_not_kept[sqlite]"),
    ),
    Safeguard(
        "who meets the same request in flight waits, and not for ever",
        "chassis/idempotency.py",
        "        await asyncio.wait_for(lock.acquire(), PATIENCE)\n",
        "        await asyncio.wait_for(lock.acquire(), PATIENCE * 20)\n",
        tests(_FILE, "a_request_that_meets_one_in_flight_waits_and_gives_up[sqlite]"),
    ),
    Safeguard(
        "an old key is a new one",
        "chassis/idempotency.py",
        '        index_elements=["scope", "key"], set_=new, where=is_expired()\n',
        '        index_elements=["scope", "key"], set_=new, where=~is_expired()\n',
        tests(_FILE, "an_old_key_is_a_new_one_and_is_forgotten"),
    ),
    Safeguard(
        "a key from before the clock was set back is an old one",
        "chassis/idempotency.py",
        "or_(_here.made_at < now - KEPT, _here.made_at > now + KEPT)",
        "or_(_here.made_at < now - KEPT)",
        tests(_FILE, "an_old_key_is_a_new_one_and_is_forgotten"),
    ),
    Safeguard(
        "a key that is still known is kept",
        "chassis/housekeeping.py",
        "    batch = select(*which).where(is_expired()).limit(BATCH)\n",
        "    batch = select(*which).limit(BATCH)\n",
        tests(_FILE, "a_key_that_is_still_known_is_not_forgotten[sqlite]"),
    ),
)
