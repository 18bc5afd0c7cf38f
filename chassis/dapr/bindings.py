"""The outcome of an output binding call, read from the sidecar's answer: sent, refused or unknown.

daprd answers every failure of a binding with status 500 and one text. test_refusals.py and test_posting.py in
tests/conformance list the texts and check them against the real daprd. Whatever is not listed here may have
been sent.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATUS = "metadata.statuscode"
"""The header in which daprd passes on the HTTP status of the binding's endpoint."""


class BindingRefused(Exception):
    """The message was certainly not sent. `permanent`: sent again as it is, it never will be.

    `concerns_message`: the refusal is about this message or its recipient. Otherwise it is about the
    connection, the server or the configuration, and every other message would be refused too.
    """

    def __init__(
        self, reason: str, *, permanent: bool = False, concerns_message: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.concerns_message = concerns_message or permanent


class OutcomeUnknown(Exception):
    """The message may have been sent; `pending`: daprd may still be sending it, without a caller."""

    def __init__(self, reason: str, *, pending: bool) -> None:
        super().__init__(reason)
        self.pending = pending


@dataclass(frozen=True)
class Answered:
    """The sidecar's answer: its status, its text and its headers, their names in lower case."""

    status: int
    text: str
    headers: Mapping[str, str]


_Kind = dict[str, bool]
_PERMANENT: _Kind = {"permanent": True}
_MESSAGE: _Kind = {"concerns_message": True}
_CHANNEL: _Kind = {}

# Another kind of binding, or none, under this name: the right one may be loaded later.
_NO_BINDING = {
    re.compile("couldn't find output binding "): _CHANNEL,
    re.compile(r"binding \S+ does not support operation "): _CHANNEL,
}
_DIALLED = "error from smtp binding, sending email failed: "
_MAILED = f"{_DIALLED}gomail: could not send email 1: "
_INVALID = f"{_MAILED}gomail: invalid address "
# Only the beginning of a text counts: a mail server's or a customer's own words come later in it.
_SMTP = {
    **_NO_BINDING,
    re.compile("smtp binding error: emailFrom "): _CHANNEL,  # configured, not sent
    re.compile("smtp binding error: "): _PERMANENT,
    # A server that closes (421), has no TLS or authentication now (454) or wants a login (53x) refuses this
    # client at whatever stage it says so, and not this mail.
    re.compile(rf"{_MAILED}(421|454|53\d) "): _CHANNEL,
    re.compile(rf"{_MAILED}5\d\d "): _PERMANENT,
    # Greylisting, a full mailbox, a domain that cannot be resolved: other recipients have none of it.
    re.compile(rf"{_MAILED}4\d\d "): _MESSAGE,
    # Before a mail's first command: connection, greeting, encryption, login. Here even 5xx is about the client.
    re.compile(rf"{_DIALLED}(?!gomail: )"): _CHANNEL,
}
_BEFORE_THE_REQUEST = (
    "dial tcp",
    "tls: ",
    "net/http: TLS handshake timeout",
    "http: server gave HTTP response to HTTPS client",
    "unsupported protocol scheme",
)
_API = {
    **_NO_BINDING,
    # Failures before the first byte of a request. They are proof only on a connection of the request's own
    # (`Connection: close`): on a reused one Go repeats the request by itself, and this may be the repetition's.
    re.compile(rf'Post "[^"]*": ({"|".join(_BEFORE_THE_REQUEST)})'): _CHANNEL,
    re.compile('parse "'): _CHANNEL,  # the address, which is configured
}
# The client, its key, its rate or the configured address are refused, and not this message.
_OF_THE_CLIENT = {401, 402, 403, 404, 405, 407, 425, 429}
# The server gave up on a request that it may have; the request before, with this key, is still in progress.
_UNKNOWN = {408, 409}


def check_mailed(binding: str, recipient: str, answered: Answered) -> None:
    """Return if an SMTP server accepted a mail; raise BindingRefused or OutcomeUnknown otherwise."""
    # The SMTP binding answers 204 only: a 200 comes from another kind of binding under this name.
    if answered.status != 204:
        raise _not_sent(answered, smtp_refusal(binding, recipient, _message(answered)))


def check_posted(binding: str, answered: Answered) -> None:
    """Return if the HTTP endpoint answered 2xx; raise BindingRefused or OutcomeUnknown otherwise."""
    status = answered.headers.get(STATUS, "")
    if answered.status != 200 or not status.isdecimal():
        raise _not_sent(answered, api_refusal(binding, _message(answered)))
    if not 200 <= int(status) < 300:
        text = f"{status} {answered.text[:500]}"
        refused = status_refusal(int(status), text)
        raise refused or OutcomeUnknown(text, pending=False)


def smtp_refusal(binding: str, recipient: str, message: str) -> BindingRefused | None:
    """Return the refusal in daprd's message about a mail; None if the mail may have been sent."""
    reason = _reason(binding, message)
    if reason.startswith(_INVALID):  # this recipient, or the configured sender
        is_recipient = reason.startswith(f'{_INVALID}"{recipient}"')
        return BindingRefused(reason, permanent=is_recipient)
    return _known(_SMTP, reason)


def api_refusal(binding: str, message: str) -> BindingRefused | None:
    """Return the refusal in daprd's message about an HTTP request; None if it may have been received."""
    return _known(_API, _reason(binding, message))


def status_refusal(status: int, text: str) -> BindingRefused | None:
    """Return the refusal in an endpoint's HTTP status; None if the message may have been accepted."""
    if not 400 <= status < 500 or status in _UNKNOWN:
        return None
    return BindingRefused(text, permanent=status not in _OF_THE_CLIENT)


def daprds_error(text: str) -> dict[str, Any]:
    """Return daprd's own error document, else {}: a service's problem document has no errorCode."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    if isinstance(document, dict) and str(document.get("errorCode")).startswith("ERR_"):
        return document
    return {}


def _message(answered: Answered) -> str:
    return str(daprds_error(answered.text).get("message", ""))


def _not_sent(
    answered: Answered, refused: BindingRefused | None
) -> BindingRefused | OutcomeUnknown:
    text = f"{answered.status} {answered.text[:500]}"
    if 400 <= answered.status < 500:  # daprd's own: a binding's error is always 500
        return BindingRefused(text, permanent=answered.status == 400)
    return refused or OutcomeUnknown(text, pending=False)


def _reason(binding: str, message: str) -> str:
    start = f"error invoking output binding {binding}: "
    return message.removeprefix(start) if message.startswith(start) else ""


def _known(
    refusals: Mapping[re.Pattern[str], _Kind], reason: str
) -> BindingRefused | None:
    for text, kind in refusals.items():
        if text.match(reason):
            return BindingRefused(reason, **kind)
    return None
