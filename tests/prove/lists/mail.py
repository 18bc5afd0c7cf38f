"""Mails: by which way they leave, with which key, and who may have one sent that was held back."""

from tests.prove.safeguard import Safeguard, tests

_API = "notification/test_mail_api"
_POSTING = "conformance/test_posting"
_RELEASE = "notification/test_release"
_ONCE = "a_mail_of_which_nobody_knows_arrives_once_however_often_it_is_sent"
_TOO_LATE = "what_is_unknown_for_longer_than_its_key_is_known_is_held"
_ANOTHER_KEY = tests(
    _API, "a_mail_that_says_something_else_has_another_key[sqlite-other0]"
)

SAFEGUARDS = (
    Safeguard(
        "before a mail the sidecar is asked",
        "services/notification/channels.py",
        "loaded = await self._sidecar.metadata()",
        'loaded = {"components": [{"name": "email", "type": "bindings.smtp"}]}',
        tests(
            "notification/test_unknown_mail",
            "before_every_mail_the_sidecar_is_asked[sqlite]",
        ),
    ),
    Safeguard(
        "before a mail the sidecar is asked what it has now",
        "services/notification/channels.py",
        "return KEYED[kind]",
        'return KEYED["bindings.smtp"]',
        tests(_API, "another_component_is_noticed_before_the_next_mail[sqlite]"),
    ),
    Safeguard(
        "what was sent with a key is not held back",
        "services/notification/outcomes.py",
        "and_(sending, Notification.keyed.is_(False), is_held)",
        "and_(sending, is_held)",
        tests(_API, f"{_ONCE}[sqlite-taken, and the answer lost-hold]"),
    ),
    Safeguard(
        "a mail carries its key",
        "services/notification/channels.py",
        'headers = {"Idempotency-Key": key(notification)}',
        "headers: dict[str, str] = {}",
        tests(_API, f"{_ONCE}[sqlite-taken, and the answer lost-resend]"),
    ),
    Safeguard(
        "a key that may be forgotten is not sent again",
        "services/notification/outcomes.py",
        "return since is not None and not now - kept < since <= _longest_lease(now)",
        "return since is not None and since > _longest_lease(now)",
        tests(_API, f"{_TOO_LATE}[sqlite-for too long]"),
    ),
    Safeguard(
        "a key of which nobody knows how old it is is not sent again",
        "services/notification/outcomes.py",
        "return since is not None and not now - kept < since <= _longest_lease(now)",
        "return since is not None and not now - kept < since",
        tests(_API, f"{_TOO_LATE}[sqlite-when the clock was ahead]"),
    ),
    Safeguard(
        "where the sidecar does not say whether a mail has a key none is claimed",
        "services/notification/dispatcher.py",
        "            self._pause(str(error))\n",
        "            return False\n",
        tests(
            _API,
            "while_nobody_says_by_which_way_a_mail_that_is_unknown_keeps_its_key[sqlite]",
        ),
    ),
    Safeguard(
        "what may have been taken has not failed",
        "services/notification/dispatcher.py",
        "if notification.keyed and notification.in_doubt_since:",
        "if not notification:",
        tests(
            _API,
            "a_mail_that_may_have_been_taken_before_it_was_refused_is_held[sqlite]",
        ),
    ),
    Safeguard(
        "a mail that is unknown is sent again soon where it has a key",
        "services/notification/dispatcher.py",
        "is_at_it = error.pending and not notification.keyed",
        "is_at_it = error.pending",
        tests(
            _API,
            "what_is_unknown_waits_longer_each_time_and_never_two_minutes_at_first"
            "[sqlite]",
        ),
    ),
    Safeguard(
        "without a component for mails they wait",
        "services/notification/channels.py",
        "raise BindingRefused(reason, permanent=False)",
        "return False",
        tests(_API, "without_a_component_for_mails_they_wait_and_say_why[sqlite]"),
    ),
    Safeguard(
        "no connection to a mail API is used twice",
        "chassis/sidecar.py",
        '"Connection": "close", ',
        "",
        tests(_POSTING, "a_mail_api_is_told_who_asks"),
        on_the_real_system=True,
    ),
    Safeguard(
        "the yes of another kind of binding is none",
        "chassis/binding_outcomes.py",
        "answered.status != 204",
        "answered.status >= 300",
        tests(
            "chassis/test_binding_outcomes",
            "what_another_kind_of_binding_answers_is_no_mail_servers_yes[200]",
        ),
    ),
    Safeguard(
        "a yes names the API's own status",
        "chassis/binding_outcomes.py",
        "if answered.status != 200 or not status.isdecimal():",
        "if not status.isdecimal():",
        tests(
            "chassis/test_binding_outcomes",
            "what_does_not_name_the_apis_own_status_is_no_apis_yes[answered4]",
        ),
    ),
    Safeguard(
        "only 2xx is an API's yes",
        "chassis/binding_outcomes.py",
        "    if not 200 <= int(status) < 300:\n",
        "    if not int(status):\n",
        tests(_POSTING, "a_mail_that_is_refused_has_not_been_taken[simulated-422]"),
    ),
    Safeguard(
        "a mail without an answer of its API may have been taken",
        "chassis/binding_outcomes.py",
        "    if refused is None:\n        return OutcomeUnknown(text, pending=False)\n",
        "    if refused is None:\n        return BindingRefused(text, permanent=False)\n",
        tests(
            _POSTING,
            "nobody_knows_what_became_of_a_mail_without_an_answer"
            "[simulated-taken, and the answer is lost]",
        ),
    ),
    Safeguard(
        "an API that is still at it has not refused",
        "chassis/binding_refusals.py",
        "_UNKNOWN = {408, 409}",
        "_UNKNOWN = {408}",
        tests(
            _POSTING,
            "nobody_knows_what_became_of_a_mail_by_such_an_answer[simulated-409-1]",
        ),
    ),
    Safeguard(
        "only what is held or has failed is released",
        "services/notification/commands/release_notification.py",
        "    if found.state not in RELEASABLE:\n",
        "    if not found.state:\n",
        tests(_RELEASE, "nothing_else_can_be_released[sqlite-SENT]"),
    ),
    Safeguard(
        "of two who release one takes its turn after the other",
        "services/notification/commands/release_notification.py",
        "mine.with_for_update()",
        "mine",
        tests(_RELEASE, "of_many_who_release_it_at_once_one_does[postgresql]"),
    ),
    Safeguard(
        "who releases says why",
        "services/notification/commands/release_notification.py",
        "            min_length=1,\n            max_length=500,\n",
        "            max_length=500,\n            default='',\n",
        tests(_RELEASE, "nobody_releases_without_a_name_and_a_reason[sqlite-wrong1]"),
    ),
    Safeguard(
        "a release that is sent again is carried out once",
        "services/notification/commands/release_notification.py",
        'tags=["Notifications"], route_class=Idempotent',
        'tags=["Notifications"]',
        tests(_RELEASE, "a_release_that_is_sent_again_is_carried_out_once[sqlite]"),
    ),
    Safeguard(
        "a release ends the doubt",
        "services/notification/outcomes.py",
        '{"owner": None, "in_doubt_since": None, ',
        '{"owner": None, ',
        tests(
            _RELEASE,
            "what_was_in_doubt_for_long_is_so_no_more_when_it_is_released[sqlite]",
        ),
    ),
    Safeguard(
        "a mail keeps its key when it is rebuilt",
        "services/notification/channels.py",
        "order-created/{notification.order_id}",
        "order-created/{notification.order_id}/{notification.id}",
        _ANOTHER_KEY,
    ),
    Safeguard(
        "a mail that says something else has another key",
        "services/notification/channels.py",
        'f"{notification.customer_email} {notification.text}"',
        'f"{notification.customer_email}"',
        _ANOTHER_KEY,
    ),
    Safeguard(
        "a mail to somebody else has another key",
        "services/notification/channels.py",
        'f"{notification.customer_email} {notification.text}"',
        'f"{notification.text}"',
        tests(_API, "a_mail_that_says_something_else_has_another_key[sqlite-other1]"),
    ),
)
