"""Bindings: what counts as sent, and what as certainly not sent, whatever an answer's text contains."""

import pytest

from chassis.dapr.bindings import (
    BindingRefused,
    OutcomeUnknown,
    check_posted,
    status_refusal,
)
from chassis.dapr.wire import Answer

START = "error invoking output binding email: "


@pytest.mark.parametrize(
    "answered",
    [
        Answer(200, b"", {}),
        Answer(204, b"", {}),
        Answer(200, b"{}", {"metadata.statuscode": ""}),
        Answer(200, b"{}", {"metadata.statuscode": "two hundred"}),
        Answer(204, b"", {"metadata.statuscode": "200"}),
    ],
)
def test_without_the_apis_own_status_nobody_knows_whether_it_accepted(
    answered: Answer,
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
        check_posted("email", Answer(500, text.encode(), {}))

    assert not getattr(raised.value, "permanent", False)
    assert not getattr(raised.value, "concerns_message", False)


@pytest.mark.parametrize("status", [400, 406, 410, 413, 415, 422, 451])
def test_a_status_about_the_message_is_permanent(status: int) -> None:
    refused = status_refusal(status, "no")

    assert refused
    assert refused.permanent
    assert refused.concerns_message


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 425, 429])
def test_a_status_about_the_client_concerns_every_message(status: int) -> None:
    refused = status_refusal(status, "no")

    assert refused
    assert not refused.permanent
    assert not refused.concerns_message


@pytest.mark.parametrize("status", [304, 408, 409, 500, 502, 503, 504])
def test_a_status_that_proves_nothing_is_no_refusal(status: int) -> None:
    assert status_refusal(status, "no") is None


def test_of_daprds_error_document_the_sentence_is_told() -> None:
    text = (
        '{"errorCode": "ERR_INVOKE_OUTPUT_BINDING", "message": "sending failed: EOF"}'
    )

    with pytest.raises(OutcomeUnknown, match=r"^500 sending failed: EOF$"):
        check_posted("email", Answer(500, text.encode(), {}))
