"""By which words or statuses something has certainly not been sent, and whether that is so for good.

daprd answers every failure of a binding with status 500 and one text. test_refusals.py and test_posting.py in
tests/conformance list the texts, and hold them against the real daprd. What is not known here may have been
sent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why it has not been sent, and whether it never will be as it is."""

    reason: str
    permanent: bool


# Another kind of binding, or none, where this one should be: it may come.
_ELSEWHERE = {
    re.compile("couldn't find output binding "): False,
    re.compile(r"binding \S+ does not support operation "): False,
}

_DIALLED = "error from smtp binding, sending email failed: "
_MAILED = f"{_DIALLED}gomail: could not send email 1: "
_INVALID = f"{_MAILED}gomail: invalid address "
# Only the start of a text counts: what a mail server or a customer wrote comes later in it.
_SMTP = {
    **_ELSEWHERE,
    re.compile("smtp binding error: emailFrom "): False,  # it is configured, not sent
    re.compile("smtp binding error: "): True,
    # A mail server that wants a login speaks of the client, whenever it says so, and not of this mail.
    re.compile(rf"{_MAILED}53\d "): False,
    # A mail server's reply to the mail.
    re.compile(rf"{_MAILED}5\d\d "): True,
    re.compile(rf"{_MAILED}4\d\d "): False,
    # Whatever goes wrong before a mail's first command: no connection, greeting, encryption or login. There
    # even a 5xx is not for good: it speaks of the client, as with a wrong password, and not of this mail.
    re.compile(rf"{_DIALLED}(?!gomail: )"): False,
}
_BEFORE_THE_REQUEST = (
    "dial tcp",
    "tls: ",
    "net/http: TLS handshake timeout",
    "http: server gave HTTP response to HTTPS client",
    "unsupported protocol scheme",
)
_API = {
    **_ELSEWHERE,
    # What goes wrong before the first byte of a request. It is proof on a connection of the request's own
    # alone (`Connection: close`): on one that was used before, Go tries again by itself, and what stands
    # here may be the second try's.
    re.compile(rf'Post "[^"]*": ({"|".join(_BEFORE_THE_REQUEST)})'): False,
    re.compile('parse "'): False,  # the address, which is configured
}

_FOR_NOW = {425, 429}
# They speak of the client, its key or the address that it was told, and not of this mail.
_OF_THE_CLIENT = {401, 402, 403, 404, 405, 407}
# The server gave up on a request that it may have; the one before with this key is still being carried out.
_UNKNOWN = {408, 409}


def smtp_refusal(binding: str, recipient: str, message: str) -> Refusal | None:
    """Read daprd's message of a mail by SMTP; None where it does not say that nothing was sent."""
    reason = _reason(binding, message)
    if reason and reason.startswith(_INVALID):  # this one, or the configured sender
        return Refusal(reason, reason.startswith(f'{_INVALID}"{recipient}"'))
    return _known(_SMTP, reason)


def api_refusal(binding: str, message: str) -> Refusal | None:
    """Read daprd's message of a request by HTTP; None where it does not say that nothing was sent."""
    return _known(_API, _reason(binding, message))


def status_refusal(status: int, text: str) -> Refusal | None:
    """Read the status that a request was answered with; None where it does not say that it was not taken."""
    if not 400 <= status < 500 or status in _UNKNOWN:
        return None
    return Refusal(text, permanent=status not in _FOR_NOW | _OF_THE_CLIENT)


def _reason(binding: str, message: str) -> str:
    start = f"error invoking output binding {binding}: "
    return message.removeprefix(start) if message.startswith(start) else ""


def _known(refusals: Mapping[re.Pattern[str], bool], reason: str) -> Refusal | None:
    for text, permanent in refusals.items():
        if text.match(reason):
            return Refusal(reason, permanent)
    return None
