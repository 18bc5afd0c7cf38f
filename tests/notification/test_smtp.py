"""SMTP: what counts as sent, and what as certainly not sent, whatever an answer's text contains."""

import pytest

from chassis.dapr import Answer, OutcomeUnknown
from chassis.dapr.bindings import find_refusal
from chassis.text import without_addresses
from services.notification.smtp import check_sent, refusals

START = "error invoking output binding email: "
FAILED = f"{START}error from smtp binding, sending email failed: "
MAILED = f"{FAILED}gomail: could not send email 1: "
JANE = "jane@example.com"

PERMANENT, MESSAGE, CHANNEL = (True, True), (False, True), (False, False)
"""Whether a refusal is permanent, and whether it concerns one message."""


def test_no_content_means_that_a_mail_server_accepted() -> None:
    check_sent("email", JANE, Answer(204, b"", {}))


@pytest.mark.parametrize("status", [200, 202, 301, 500])
def test_what_another_kind_of_binding_answers_does_not(status: int) -> None:
    posted = Answer(status, b"{}", {"metadata.statuscode": "200"})

    with pytest.raises(OutcomeUnknown):
        check_sent("email", JANE, posted)


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
def test_a_mail_that_may_have_been_sent_is_not_refused(message: str) -> None:
    assert find_refusal("email", message, refusals(JANE)) is None


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        # As Go 1.26 writes a reply, and as older ones did.
        (f'{MAILED}550 "no such user"', PERMANENT),
        (f"{MAILED}550 no such user", PERMANENT),
        (f"{MAILED}554 spam", PERMANENT),
        (f"{MAILED}450 4.1.2 Domain not found; 421 550", MESSAGE),
        (f"{MAILED}451 try later; the user 550 is away", MESSAGE),
        (f"{MAILED}452 4.2.2 over quota", MESSAGE),
        (f'{MAILED}421 "closing"', CHANNEL),
        (f'{MAILED}454 "4.7.0 TLS not available"', CHANNEL),
        (f'{MAILED}530 "5.7.0 Authentication required"', CHANNEL),
        (f"{FAILED}dial tcp: lookup mail.invalid: no such host", CHANNEL),
        (f"{FAILED}dial tcp 127.0.0.1:1: i/o timeout", CHANNEL),
        (f"{FAILED}tls: failed to verify certificate: x509: no", CHANNEL),
        (f'{FAILED}535 "5.7.8 Authentication credentials invalid"', CHANNEL),
        (f'{FAILED}450 "too many connections"', CHANNEL),
        (f"{START}couldn't find output binding email", CHANNEL),
        (f"{START}smtp binding error: emailFrom property not supplied", CHANNEL),
        (f"{START}smtp binding error: emailTo property not supplied", PERMANENT),
        (f'{MAILED}gomail: invalid address "{JANE}": mail: no', PERMANENT),
        (f'{MAILED}gomail: invalid address "the sender": mail: no', CHANNEL),
    ],
)
def test_a_refusal_is_permanent_or_transient_and_of_one_mail_or_of_all(
    message: str, kind: tuple[bool, bool]
) -> None:
    refused = find_refusal("email", message, refusals(JANE))

    assert refused
    assert without_addresses(message).endswith(refused.reason)
    assert JANE not in refused.reason
    assert (refused.permanent, refused.concerns_message) == kind
