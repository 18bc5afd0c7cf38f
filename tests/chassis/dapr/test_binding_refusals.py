"""Refusals: only what certainly was not sent counts as refused, whatever a text contains."""

import pytest

from chassis.dapr.refusals import smtp_refusal

START = "error invoking output binding email: "
FAILED = f"{START}error from smtp binding, sending email failed: "
MAILED = f"{FAILED}gomail: could not send email 1: "
JANE = "jane@example.com"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "550 no such user",
        f"{START}550 no such user",
        f"{MAILED}EOF",
        f"{MAILED}250 fine",
        f"{MAILED}354 go on",
        f'{MAILED}short response: "550 "',
        f"{MAILED}read tcp 127.0.0.1:1->127.0.0.1:2: 550 reset",
        f"{MAILED}write: broken pipe; {MAILED}550 no",
        f"{MAILED}5500 is no code",
        f"{MAILED}gomail: something new, 550 ",
        f"{FAILED}gomail: something new",
        "error invoking output binding letter: couldn't find output binding letter",
    ],
)
def test_what_may_have_been_sent_is_not_refused(message: str) -> None:
    assert smtp_refusal("email", JANE, message) is None


@pytest.mark.parametrize(
    ("message", "permanent"),
    [
        # As Go 1.26 writes a reply, and as older ones did.
        (f'{MAILED}550 "no such user"', True),
        (f"{MAILED}550 no such user", True),
        (f'{MAILED}530 "5.7.0 Authentication required"', False),
        (f"{MAILED}451 try later; the user 550 is away", False),
        (f"{FAILED}dial tcp: lookup mail.invalid: no such host", False),
        (f"{FAILED}dial tcp 127.0.0.1:1: i/o timeout", False),
        (f"{FAILED}tls: failed to verify certificate: x509: no", False),
        (f'{FAILED}535 "5.7.8 Authentication credentials invalid"', False),
        (f"{START}smtp binding error: emailFrom property not supplied", False),
        (f"{START}smtp binding error: emailTo property not supplied", True),
        (f'{MAILED}gomail: invalid address "{JANE}": mail: no', True),
        (f'{MAILED}gomail: invalid address "the sender": mail: no', False),
    ],
)
def test_what_was_not_sent_is_refused_for_now_or_for_good(
    message: str,
    permanent: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    refused = smtp_refusal("email", JANE, message)

    assert refused
    assert message.endswith(refused.reason)
    assert refused.permanent is permanent
