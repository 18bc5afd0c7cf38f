"""Bindings: what counts as sent, and what as certainly not sent, whatever an answer's text contains."""

import pytest

from chassis.dapr.bindings import (
    Answered,
    BindingRefused,
    OutcomeUnknown,
    check_mailed,
    check_posted,
    smtp_refusal,
    status_refusal,
)

START = "error invoking output binding email: "
FAILED = f"{START}error from smtp binding, sending email failed: "
MAILED = f"{FAILED}gomail: could not send email 1: "
JANE = "jane@example.com"

PERMANENT, MESSAGE, CHANNEL = (True, True), (False, True), (False, False)
"""Whether a refusal is permanent, and whether it concerns one message."""


def test_no_content_means_that_a_mail_server_accepted() -> None:
    check_mailed("email", JANE, Answered(204, "", {}))


@pytest.mark.parametrize("status", [200, 202, 301, 500])
def test_what_another_kind_of_binding_answers_does_not(status: int) -> None:
    posted = Answered(status, "{}", {"metadata.statuscode": "200"})

    with pytest.raises(OutcomeUnknown):
        check_mailed("email", JANE, posted)


@pytest.mark.parametrize(
    "answered",
    [
        Answered(200, "", {}),
        Answered(204, "", {}),
        Answered(200, "{}", {"metadata.statuscode": ""}),
        Answered(200, "{}", {"metadata.statuscode": "two hundred"}),
        Answered(204, "", {"metadata.statuscode": "200"}),
    ],
)
def test_without_the_apis_own_status_nobody_knows_whether_it_accepted(
    answered: Answered,
) -> None:
    with pytest.raises(OutcomeUnknown):
        check_posted("email", answered)


@pytest.mark.parametrize(
    ("reason", "is_refused"),
    [
        ('Post "https://x/": dial tcp: lookup x on 1.1.1.1:53: no such host', True),
        ('Post "https://x/": tls: failed to verify certificate: x509: ...', True),
        ('Post "https://x/": unsupported protocol scheme ""', True),
        ('parse "http://x y": invalid character " " in host name', True),
        ('Post "https://x/": read tcp 1.2.3.4:1->5.6.7.8:9: dial tcp', False),
        ('Post "https://x/": remote error: tls: bad certificate', False),
        ('Get "https://x/": dial tcp 1.2.3.4:443: connect: connection refused', False),
        ("EOF: dial tcp", False),
    ],
)
def test_only_a_failure_before_the_request_proves_that_nothing_was_sent(
    reason: str, *, is_refused: bool
) -> None:
    message = f"{START}{reason}".replace('"', '\\"')
    text = f'{{"errorCode": "ERR_INVOKE_OUTPUT_BINDING", "message": "{message}"}}'

    with pytest.raises(BindingRefused if is_refused else OutcomeUnknown) as raised:
        check_posted("email", Answered(500, text, {}))

    assert not getattr(raised.value, "permanent", False)
    assert not getattr(raised.value, "concerns_message", False)


@pytest.mark.parametrize("status", [400, 406, 410, 413, 415, 422, 451])
def test_a_status_about_the_message_is_permanent(status: int) -> None:
    refused = status_refusal(status, "no")

    assert refused
    assert (refused.permanent, refused.concerns_message) == PERMANENT


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 425, 429])
def test_a_status_about_the_client_concerns_every_message(status: int) -> None:
    refused = status_refusal(status, "no")

    assert refused
    assert (refused.permanent, refused.concerns_message) == CHANNEL


@pytest.mark.parametrize("status", [304, 408, 409, 500, 502, 503, 504])
def test_a_status_that_proves_nothing_is_no_refusal(status: int) -> None:
    assert status_refusal(status, "no") is None


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
    assert smtp_refusal("email", JANE, message) is None


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
    refused = smtp_refusal("email", JANE, message)

    assert refused
    assert message.endswith(refused.reason)
    assert (refused.permanent, refused.concerns_message) == kind
