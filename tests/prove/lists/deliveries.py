"""Deliveries: none is answered so that Dapr drops it, or brings it back for ever."""

from tests.prove.safeguard import Safeguard, tests

_FILE = "chassis/test_inbox"
_HOSTILE = "chassis/test_hostile_events"
_UNREADABLE = tests(
    _HOSTILE, "what_daprd_cannot_read_is_one_dead_letter_as_its_bytes_were[sqlite]"
)

SAFEGUARDS = (
    Safeguard(
        "nothing is acknowledged that could not be kept",
        "chassis/subscriptions.py",
        'could not be kept", letter.reaction)\n        return Status.RETRY',
        'could not be kept", letter.reaction)\n        return Status.SUCCESS',
        tests(_FILE, "what_cannot_even_be_kept_comes_back[sqlite]"),
    ),
    Safeguard(
        "a delivery is never answered 422",
        "chassis/subscriptions.py",
        "        async def deliver(request: Request) -> dict[str, str]:\n"
        "            body, size = await _read(request, LARGEST)\n",
        "        async def deliver(request: Request, _: dict[str, Any]) -> dict[str, str]:\n"
        "            body, size = await _read(request, LARGEST)\n",
        tests(
            _FILE,
            "an_event_that_can_never_be_taken_in_is_kept_with_its_reason[sqlite-not JSON]",
        ),
    ),
    Safeguard(
        "a delivery is never answered 404",
        "chassis/inbox.py",
        "            if is_away(error):\n"
        "                raise\n"
        "            async with database.write() as session:\n"
        "                await give_up(session, reaction, body, error)\n",
        "            if is_away(error) or isinstance(error, Rejected):\n"
        "                raise\n"
        "            async with database.write() as session:\n"
        "                await give_up(session, reaction, body, error)\n"
        "    except Rejected:\n"
        "        raise\n",
        tests(_FILE, "what_a_reaction_does_not_find_is_no_reason_to_drop_it[sqlite]"),
    ),
    Safeguard(
        "what daprd cannot read is heard too",
        "chassis/subscriptions.py",
        "        self._subscribe(dead, self._burying(dead, pushed), None)\n",
        "",
        tests(
            "chassis/test_names_of_reactions",
            "the_names_of_the_reactions_are_kept[sqlite]",
        ),
    ),
    Safeguard(
        "what daprd cannot read leaves the topic",
        "chassis/subscriptions.py",
        "            dead_letter_topic=dead,\n",
        "            dead_letter_topic=None,\n",
        _UNREADABLE,
    ),
    Safeguard(
        "a dead letter comes as its bytes were",
        "chassis/subscriptions.py",
        'raw = {} if dead else {"rawPayload": "true"}',
        "raw: dict[str, str] = {}",
        tests(
            "components/test_yaml",
            "the_notification_service_hands_the_folders_tuning_on[components/rabbitmq]",
        ),
    ),
    Safeguard(
        "what is an event all the same is taken in from the dead-letter topic",
        "chassis/subscriptions.py",
        "            if _type_of(body) == reaction.event.topic():\n",
        "            if _type_of(body) == topic:\n",
        tests(
            _HOSTILE,
            "what_can_never_be_taken_in_is_one_dead_letter_and_stops_nothing"
            "[sqlite-/events/notification-dead-letter]",
        ),
    ),
)
