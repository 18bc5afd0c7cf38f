"""Dapr's SMTP binding: a mail is sent once, and daprd's answer says that it was sent, refused, or neither.

daprd answers every failure with status 500 and one text. tests/conformance/test_refusals.py lists the texts and
checks them against the real daprd. Whatever is not listed here may have been sent.
"""

import re
from collections.abc import Mapping

from chassis.dapr import Answer, Sidecar
from chassis.dapr.bindings import NO_BINDING, Refusals, not_sent

_PERMANENT = {"permanent": True}
_MESSAGE = {"concerns_message": True}
_CHANNEL: dict[str, bool] = {}

_DIALLED = "error from smtp binding, sending email failed: "
_MAILED = f"{_DIALLED}gomail: could not send email 1: "
_INVALID = f"{_MAILED}gomail: invalid address "
# Only the beginning of a text counts: a mail server's or a customer's own words come later in it.
_REFUSALS: Refusals = {
    **NO_BINDING,
    re.compile("smtp binding error: emailFrom "): _CHANNEL,  # configured, not sent
    re.compile("smtp binding error: "): _PERMANENT,
    re.compile(_INVALID): _CHANNEL,  # the sender, which is configured
    # A server that closes (421), has no TLS or authentication now (454) or wants a login (53x) refuses this
    # client at whatever stage it says so, and not this mail.
    re.compile(rf"{_MAILED}(421|454|53\d) "): _CHANNEL,
    re.compile(rf"{_MAILED}5\d\d "): _PERMANENT,
    # Greylisting, a full mailbox, a domain that cannot be resolved: other recipients have none of it.
    re.compile(rf"{_MAILED}4\d\d "): _MESSAGE,
    # Before a mail's first command: connection, greeting, encryption, login. Here even 5xx is about the client.
    re.compile(rf"{_DIALLED}(?!gomail: )"): _CHANNEL,
}


async def send(
    sidecar: Sidecar, binding: str, data: str, metadata: Mapping[str, str]
) -> None:
    """Send a mail through an SMTP binding, once; return when its server has accepted it.

    Raises BindingRefused or SidecarUnavailable where it was certainly not sent, and OutcomeUnknown where that is
    unknown. daprd's SMTP binding mixes up concurrent calls and keeps what a later call leaves out: one call at a
    time, each with `emailTo` and `subject`.
    """
    body = {"operation": "create", "data": data, "metadata": dict(metadata)}
    answered = await sidecar.invoke(binding, body)
    check_sent(binding, metadata.get("emailTo", ""), answered)


def check_sent(binding: str, recipient: str, answered: Answer) -> None:
    """Return if the mail server accepted a mail; raise BindingRefused or OutcomeUnknown otherwise."""
    # The SMTP binding answers 204 only: a 200 comes from another kind of binding under this name.
    if answered.status != 204:
        raise not_sent(binding, answered, refusals(recipient))


def refusals(recipient: str) -> Refusals:
    """Return the texts that prove that a mail to this recipient was not sent."""
    invalid = re.compile(re.escape(f'{_INVALID}"{recipient}"'))
    return {invalid: _PERMANENT, **_REFUSALS}
