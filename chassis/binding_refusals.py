"""By which of daprd's words a mail has certainly not been sent, and whether that is so for good.

daprd answers every failure of a binding with status 500 and one text. tests/conformance/test_refusals.py
lists the texts, and holds them against the real daprd. What is not known here may have been sent.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why it has not been sent, and whether it never will be as it is."""

    reason: str
    permanent: bool


_DIALLED = "error from smtp binding, sending email failed: "
_MAILED = f"{_DIALLED}gomail: could not send email 1: "
_INVALID = f"{_MAILED}gomail: invalid address "
# Only the start of a text counts: what a mail server or a customer wrote comes later in it.
_REFUSALS = {
    re.compile("couldn't find output binding "): False,
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


def refusal(binding: str, recipient: str, message: str) -> Refusal | None:
    """Read the message of daprd's error; None where it does not say that nothing was sent."""
    start = f"error invoking output binding {binding}: "
    if not message.startswith(start):
        return None
    reason = message.removeprefix(start)
    if reason.startswith(_INVALID):  # this one, or the sender's, which is configured
        return Refusal(reason, reason.startswith(f'{_INVALID}"{recipient}"'))
    for text, permanent in _REFUSALS.items():
        if text.match(reason):
            return Refusal(reason, permanent)
    return None
