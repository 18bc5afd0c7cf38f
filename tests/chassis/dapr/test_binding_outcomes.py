"""What counts as sent: the one answer that says so, of the kind of binding that was meant."""

import pytest

from chassis.dapr.bindings import (
    Answered,
    BindingRefused,
    OutcomeUnknown,
    check_mailed,
    check_posted,
)

JANE = "jane@example.org"


def test_no_content_is_a_mail_servers_yes() -> None:
    check_mailed("email", JANE, Answered(204, "", {}))


@pytest.mark.parametrize("status", [200, 202, 301, 500])
def test_what_another_kind_of_binding_answers_is_no_mail_servers_yes(
    status: int,
) -> None:
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
def test_what_does_not_name_the_apis_own_status_is_no_apis_yes(
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
def test_only_what_went_wrong_before_the_request_says_that_nothing_was_sent(
    reason: str, *, is_refused: bool
) -> None:
    said = f"error invoking output binding email: {reason}".replace('"', '\\"')
    text = f'{{"errorCode": "ERR_INVOKE_OUTPUT_BINDING", "message": "{said}"}}'

    with pytest.raises(BindingRefused if is_refused else OutcomeUnknown) as raised:
        check_posted("email", Answered(500, text, {}))

    assert not getattr(raised.value, "permanent", False)
