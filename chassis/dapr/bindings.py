"""What a sidecar's answer says of what was sent through an output binding: taken, refused, or unknown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chassis.dapr.refusals import Refusal, api_refusal, smtp_refusal, status_refusal

STATUS = "metadata.statuscode"
"""Where daprd names the status that the other side answered with."""


class BindingRefused(Exception):
    """What was to be sent has certainly not been taken; `permanent` where it will not be as it is."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class OutcomeUnknown(Exception):
    """What was to be sent may have been sent; `pending` where it may be later: daprd goes on without us."""

    def __init__(self, reason: str, *, pending: bool) -> None:
        super().__init__(reason)
        self.pending = pending


@dataclass(frozen=True)
class Answered:
    """What the sidecar answered: its status, its text and its headers, their names in lower case."""

    status: int
    text: str
    headers: Mapping[str, str]


def check_mailed(binding: str, recipient: str, answered: Answered) -> None:
    """Return where a mail was taken by an SMTP server; raises BindingRefused, OutcomeUnknown."""
    # Nothing else is this binding's yes: a 200 is that of another kind of binding, which is there instead.
    if answered.status != 204:
        raise _not_sent(answered, smtp_refusal(binding, recipient, _message(answered)))


def check_posted(binding: str, answered: Answered) -> None:
    """Return where the other side answered 2xx; raises BindingRefused, OutcomeUnknown."""
    status = answered.headers.get(STATUS, "")
    if answered.status != 200 or not status.isdecimal():
        raise _not_sent(answered, api_refusal(binding, _message(answered)))
    if not 200 <= int(status) < 300:
        text = f"{status} {answered.text[:500]}"
        raise _judged(text, status_refusal(int(status), text))


def daprds_error(text: str) -> dict[str, Any]:
    """Give the error that daprd itself answers with; a service's problem document has no errorCode."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    is_daprds = isinstance(said, dict) and str(said.get("errorCode")).startswith("ERR_")
    return said if is_daprds else {}


def _message(answered: Answered) -> str:
    return str(daprds_error(answered.text).get("message", ""))


def _not_sent(
    answered: Answered, refused: Refusal | None
) -> BindingRefused | OutcomeUnknown:
    text = f"{answered.status} {answered.text[:500]}"
    if 400 <= answered.status < 500:  # daprd's own: a binding's error is always 500
        return BindingRefused(text, permanent=answered.status == 400)
    return _judged(text, refused)


def _judged(text: str, refused: Refusal | None) -> BindingRefused | OutcomeUnknown:
    if refused is None:
        return OutcomeUnknown(text, pending=False)
    return BindingRefused(refused.reason, permanent=refused.permanent)
