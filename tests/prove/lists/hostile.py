"""What is hostile: values that an event cannot have, and deliveries of any size."""

from tests.prove.safeguard import Safeguard, tests

_ATTRIBUTES = "chassis/test_hostile_attributes"
_LARGE = "chassis/test_large_deliveries"
_EACH = tests(
    _ATTRIBUTES,
    "each_is_taken_in_or_kept_and_touches_no_other[postgresql-/events/OrderCreated]",
)
_HUGE = "a_huge_delivery_is_kept_cut_off_and_never_held_whole"

SAFEGUARDS = (
    Safeguard(
        "no value of an attribute has a NUL",
        "chassis/cloud_event.py",
        'return isinstance(value, str) and "\\0" in value',
        "return False",
        _EACH,
    ),
    Safeguard(
        "an attribute has a greatest length",
        "chassis/cloud_event.py",
        "Word = Annotated[StrictStr, Field(max_length=200)]",
        "Word = StrictStr",
        _EACH,
    ),
    Safeguard(
        "another content under the same id overwrites nothing",
        "chassis/inbox.py",
        "session.execute(CLAIM.values(row))",
        "session.execute(insert(inbox).values(row).on_conflict_do_update("
        'index_elements=["reaction", "event_id"], set_=row).returning(inbox.c.event_id))',
        tests(
            _ATTRIBUTES,
            "another_content_under_the_same_id_overwrites_nothing"
            "[sqlite-/events/OrderCreated]",
        ),
    ),
    Safeguard(
        "of a huge delivery no more is held than is kept",
        "chassis/subscriptions.py",
        "        kept += piece[: most - len(kept)]\n",
        "        kept += piece\n",
        tests(_LARGE, f"{_HUGE}[sqlite-/events/OrderCreated]"),
    ),
    Safeguard(
        "a huge delivery is kept with its size",
        "chassis/subscriptions.py",
        "            if size > LARGEST:\n",
        "            if size < 0:\n",
        tests(_LARGE, f"{_HUGE}[sqlite-/events/OrderCreated]"),
    ),
    Safeguard(
        "a huge dead letter is kept with its size",
        "chassis/subscriptions.py",
        "            if size > LARGEST_WRAPPED:\n",
        "            if size < 0:\n",
        tests(_LARGE, f"{_HUGE}[sqlite-/events/notification-dead-letter]"),
    ),
    Safeguard(
        "a huge dead letter is kept as it was before it was wrapped",
        "chassis/subscriptions.py",
        "    if found := WRAPPED.search(wrapped):\n",
        "    if found := WRAPPED.fullmatch(wrapped):\n",
        tests(
            _LARGE,
            "a_huge_dead_letter_is_kept_as_it_was_before_the_sidecar_wrapped_it[sqlite]",
        ),
    ),
    Safeguard(
        "the largest event has room for what it is wrapped in",
        "chassis/subscriptions.py",
        "LARGEST_WRAPPED = LARGEST * 4 // 3 + 4096",
        "LARGEST_WRAPPED = LARGEST",
        tests(
            _LARGE,
            "the_largest_event_is_taken_in_from_the_dead_letter_topic_too[sqlite-0]",
        ),
    ),
)
