"""The safeguards of what is mailed, and the tests that have to notice when one is gone."""

from tests.prove.safeguard import Safeguard

_MAIL_API = ("tests/notification/test_mail_api.py",)
_POSTING = ("tests/conformance/test_posting.py",)
_RELEASE = ("tests/notification/test_release.py",)
_UNKNOWN = ("tests/notification/test_unknown_mail.py",)

MAIL = (
    Safeguard(
        "before a mail the sidecar is asked, and what it has now",
        "services/notification/channels.py",
        "loaded = await self._sidecar.metadata()",
        'loaded = {"components": [{"name": "email", "type": "bindings.smtp"}]}',
        (*_UNKNOWN, *_MAIL_API),
    ),
    Safeguard(
        "what was sent with a key is not held back",
        "services/notification/outcomes.py",
        "and_(sending, Notification.keyed.is_(False), is_held)",
        "and_(sending, is_held)",
        _MAIL_API,
    ),
    Safeguard(
        "a key that may be forgotten is not sent again",
        "services/notification/outcomes.py",
        "return since is not None and not now - kept < since <= now + LEASE",
        "return False",
        _MAIL_API,
    ),
    Safeguard(
        "no connection to a mail API is used twice",
        "chassis/sidecar.py",
        '"Connection": "close", ',
        "",
        _POSTING,
    ),
    Safeguard(
        "the yes of another kind of binding is none",
        "chassis/binding_outcomes.py",
        "answered.status != 204",
        "answered.status >= 300",
        ("tests/chassis/test_binding_outcomes.py",),
    ),
    Safeguard(
        "only what is held or has failed is released",
        "services/notification/commands/release_notification.py",
        "    if found.state not in RELEASABLE:\n",
        "    if not found.state:\n",
        _RELEASE,
    ),
    Safeguard(
        "of two who release one takes its turn after the other",
        "services/notification/commands/release_notification.py",
        "mine.with_for_update()",
        "mine",
        _RELEASE,
    ),
    Safeguard(
        "a release ends the doubt",
        "services/notification/outcomes.py",
        '{"owner": None, "in_doubt_since": None, ',
        '{"owner": None, ',
        _RELEASE,
    ),
    Safeguard(
        "a mail keeps its key when it is rebuilt",
        "services/notification/channels.py",
        "order-created/{notification.order_id}",
        "order-created/{notification.id}",
        (*_MAIL_API, *_RELEASE),
    ),
    Safeguard(
        "what may have been taken has not failed",
        "services/notification/dispatcher.py",
        "if notification.keyed and notification.in_doubt_since:",
        "if not notification:",
        _MAIL_API,
    ),
    Safeguard(
        "an API that is still at it has not refused",
        "chassis/binding_refusals.py",
        "_UNKNOWN = {408, 409}",
        "_UNKNOWN = {408}",
        (*_MAIL_API, *_POSTING),
    ),
)
