"""The outcome of an output binding call, read from the sidecar's answer: sent, refused or unknown.

daprd answers every failure of a binding with status 500 and one text. test_refusals.py and test_posting.py in
tests/conformance list the texts and check them against the real daprd. Whatever is not listed here may have
been sent.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from chassis.dapr.wire import Answer
from chassis.text import without_addresses

STATUS = "metadata.statuscode"
"""The header in which daprd passes on the HTTP status of the binding's endpoint."""
LONGEST = 500
"""Characters that are kept of what a server says."""


class BindingRefused(Exception):
    """The message was certainly not sent. `permanent`: sent again as it is, it never will be.

    `concerns_message`: the refusal is about this message or its recipient. Otherwise it is about the
    connection, the server or the configuration, and every other message would be refused too.
    """

    def __init__(
        self, reason: str, *, permanent: bool = False, concerns_message: bool = False
    ) -> None:
        self.reason = _bounded(reason)
        super().__init__(self.reason)
        self.permanent = permanent
        self.concerns_message = concerns_message or permanent


class OutcomeUnknown(Exception):
    """The message may have been sent; `pending`: daprd may still be sending it, without a caller."""

    def __init__(self, reason: str, *, pending: bool) -> None:
        super().__init__(_bounded(reason))
        self.pending = pending


Refusals = Mapping[re.Pattern[str], Mapping[str, bool]]
"""Beginnings of daprd's texts that prove a refusal, and of which kind: what BindingRefused is made with."""

NO_BINDING: Refusals = {
    # Another kind of binding, or none, under this name: the right one may be loaded later.
    re.compile("couldn't find output binding "): {},
    re.compile(r"binding \S+ does not support operation "): {},
}
_BEFORE_THE_REQUEST = (
    "dial tcp",
    "tls: ",
    "net/http: TLS handshake timeout",
    "http: server gave HTTP response to HTTPS client",
    "unsupported protocol scheme",
)
_API: Refusals = {
    **NO_BINDING,
    # Failures before the first byte of a request. They are proof only on a connection of the request's own
    # (`Connection: close`): on a reused one Go repeats the request by itself, and this may be the repetition's.
    re.compile(rf'Post "[^"]*": ({"|".join(_BEFORE_THE_REQUEST)})'): {},
    re.compile('parse "'): {},  # the address, which is configured
}
# The client, its key, its rate or the configured address are refused, and not this message.
_OF_THE_CLIENT = {401, 402, 403, 404, 405, 407, 425, 429}
# The server gave up on a request that it may have; the request before, with this key, is still in progress.
_UNKNOWN = {408, 409}


def check_posted(binding: str, answered: Answer) -> None:
    """Return if the HTTP endpoint answered 2xx; raise BindingRefused or OutcomeUnknown otherwise."""
    status = answered.headers.get(STATUS, "")
    if answered.status != 200 or not status.isdecimal():
        raise not_sent(binding, answered, _API)
    if not 200 <= int(status) < 300:
        text = f"{status} {answered.text}"
        refused = status_refusal(int(status), text)
        raise refused or OutcomeUnknown(text, pending=False)


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


def said(text: str) -> str:
    """Return the sentence in daprd's own error document, or what else was answered."""
    return _bounded(str(daprds_error(text).get("message") or text))


def _bounded(text: str) -> str:
    # Cut off afterwards: half an address is still a name.
    return without_addresses(text)[:LONGEST]


def not_sent(
    binding: str, answered: Answer, refusals: Refusals
) -> BindingRefused | OutcomeUnknown:
    """Return the error that an answer means which is no success."""
    text = f"{answered.status} {said(answered.text)}"
    if 400 <= answered.status < 500:  # daprd's own: a binding's error is always 500
        return BindingRefused(text, permanent=answered.status == 400)
    message = str(daprds_error(answered.text).get("message", ""))
    refused = find_refusal(binding, message, refusals)
    return refused or OutcomeUnknown(text, pending=False)


def find_refusal(
    binding: str, message: str, refusals: Refusals
) -> BindingRefused | None:
    """Return the refusal in daprd's message; None if the message to the binding may have been sent."""
    start = f"error invoking output binding {binding}: "
    if not message.startswith(start):
        return None
    reason = message.removeprefix(start)
    kinds = (kind for text, kind in refusals.items() if text.match(reason))
    kind = next(kinds, None)
    return None if kind is None else BindingRefused(reason, **kind)
