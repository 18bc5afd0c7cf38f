"""Refusals: what a caller is answered in each case that can happen to a mail, so that none is sent twice.

The messages of daprd 1.18.2, with status 500 and ERR_INVOKE_OUTPUT_BINDING where nothing else stands here, after
"error invoking output binding email: error from smtp binding, sending email failed: ".

Certainly not accepted:

| what happens | daprd's message | permanent |
| --- | --- | --- |
| no server | dial tcp 127.0.0.1:1025: connect: connection refused | no |
| a host that does not exist | dial tcp: lookup mail.invalid on ...: no such host | no |
| a server that greets with 554, or 421 | 554 "go away" | no |
| a server that closes instead of greeting | EOF | no |
| STARTTLS with a bad certificate | tls: failed to verify certificate: x509: ... | no |
| a login that is refused | 535 "5.7.8 ..." | no |
| 530 after MAIL, or any 53x | gomail: could not send email 1: 530 "auth first" | no |
| 550 or 421 after MAIL | gomail: could not send email 1: 550 "no such sender" | 5xx |
| 550 or 450 after RCPT | gomail: could not send email 1: 550 "no such user" | 5xx |
| 554 or 451 after DATA, or after the mail | gomail: could not send email 1: 554 "spam" | 5xx |
| a recipient that is no address | gomail: could not send email 1: gomail: invalid address "jane": ... | yes |
| a sender that is none | the same, with the sender's | no |
| no sender, in place of the text above | smtp binding error: emailFrom property not supplied ... | no |
| no such binding, in place of it | couldn't find output binding email | no |
| beyond 4 MiB | 400 ERR_MALFORMED_REQUEST failed deserializing HTTP body: stream too large | yes |

Unknown, as the mail may have been accepted:

| what happens | daprd's message |
| --- | --- |
| the connection is lost after RCPT, after DATA or after the mail | gomail: could not send email 1: EOF |
| 251 after the mail | gomail: could not send email 1: 251 "fine" |
| no reply code after the mail | gomail: could not send email 1: short response: "hello" |
| no answer, at whatever stage | nothing; daprd waits without end, and goes on after its caller has left |
| the connection is lost after MAIL | nothing; daprd dials again at once, 1,000 times a second, without end |

The text of a server, a customer or a sender stands behind these beginnings, never before them.
"""

from dataclasses import dataclass

import pytest

from chassis.dapr.bindings import BindingRefused, OutcomeUnknown
from services.notification import smtp
from tests.conformance.sending import a_recipient, acting, send
from tests.conformance.stage import Stage
from tests.support.mail_server import DROP, HANG, Act
from tests.support.simulated_dapr import LARGEST

FAILED = "error from smtp binding, sending email failed: "
MAILED = f"{FAILED}gomail: could not send email 1: "


@dataclass(frozen=True)
class Refusal:
    """What a server does at a stage, daprd's message, and which kind of refusal that is.

    `channel`: it is about the server or the connection, and not about this mail.
    """

    stage: str
    act: Act
    says: str
    permanent: bool
    channel: bool = False


# fmt: off
REFUSED = {
    "greeted with 554": Refusal("GREETING", Act("554 go away"), f"{FAILED}554 ", permanent=False, channel=True),
    "greeted with 421": Refusal("GREETING", Act("421 busy"), f"{FAILED}421 ", permanent=False, channel=True),
    "not greeted": Refusal("GREETING", DROP, f"{FAILED}EOF", permanent=False, channel=True),
    "530 after MAIL": Refusal("MAIL", Act("530 auth first"), f"{MAILED}530 ", permanent=False, channel=True),
    "550 after MAIL": Refusal("MAIL", Act("550 no such sender"), f"{MAILED}550 ", permanent=True),
    "421 after MAIL": Refusal("MAIL", Act("421 bye"), f"{MAILED}421 ", permanent=False, channel=True),
    "550 after RCPT": Refusal("RCPT", Act("550 no such user"), f"{MAILED}550 ", permanent=True),
    "450 after RCPT": Refusal("RCPT", Act("450 busy"), f"{MAILED}450 ", permanent=False),
    "554 after DATA": Refusal("DATA", Act("554 no recipients"), f"{MAILED}554 ", permanent=True),
    "451 after DATA": Refusal("DATA", Act("451 no room"), f"{MAILED}451 ", permanent=False),
    "554 after the mail": Refusal("DOT", Act("554 spam"), f"{MAILED}554 ", permanent=True),
    "451 after the mail": Refusal("DOT", Act("451 greylisted"), f"{MAILED}451 ", permanent=False),
    "550 in two lines": Refusal("RCPT", Act("550-no\r\n550 user"), f"{MAILED}550 ", permanent=True),
    "452 that speaks of 550": Refusal("DOT", Act("452 was 550 550 user"), f"{MAILED}452 ", permanent=False),
}
UNKNOWN = {
    "lost after RCPT": Refusal("RCPT", DROP, f"{MAILED}EOF", permanent=False),
    "lost after DATA": Refusal("DATA", DROP, f"{MAILED}EOF", permanent=False),
    "lost after the mail": Refusal("DOT", DROP, f"{MAILED}EOF", permanent=False),
    "251 after the mail": Refusal("DOT", Act("251 550 fine"), f"{MAILED}251 ", permanent=False),
    "no code after the mail": Refusal("DOT", Act("hello 550 "), f"{MAILED}short response: ", permanent=False),
}
# fmt: on
ACCEPTED = {"lost after the mail", "251 after the mail", "no code after the mail"}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_mail_that_is_refused_has_not_been_accepted(
    dapr: Stage, case: str
) -> None:
    refusal, to = REFUSED[case], a_recipient()

    with (
        acting(dapr.mailbox, refusal.stage, refusal.act),
        pytest.raises(BindingRefused) as refused,
    ):
        await send(dapr, to)

    assert refused.value.reason.startswith(refusal.says)
    assert refused.value.permanent is refusal.permanent
    assert refused.value.concerns_message is not refusal.channel
    assert dapr.wire.answers[-1][0] == 500
    assert dapr.mailbox.to(to) == []


@pytest.mark.parametrize("case", UNKNOWN)
async def test_the_outcome_of_a_mail_is_unknown(dapr: Stage, case: str) -> None:
    unknown, to = UNKNOWN[case], a_recipient()
    dapr.mailbox.acts[f"{unknown.stage} {to}"] = unknown.act

    with pytest.raises(OutcomeUnknown) as raised:
        await send(dapr, to)

    assert unknown.says in str(raised.value)
    assert not raised.value.pending
    assert len(dapr.mailbox.to(to)) == (1 if case in ACCEPTED else 0)


@pytest.mark.parametrize("stage", ["GREETING", "RCPT", "DOT", "QUIT"])
async def test_the_outcome_is_unknown_where_the_server_does_not_answer(
    dapr: Stage, stage: str
) -> None:
    to = a_recipient()

    with (
        acting(dapr.mailbox, stage, HANG),
        pytest.raises(OutcomeUnknown, match="TimeoutError") as raised,
    ):
        await send(dapr, to)

    assert raised.value.pending
    assert len(dapr.mailbox.to(to)) == (1 if stage in {"DOT", "QUIT"} else 0)


async def test_a_binding_that_is_missing_may_be_loaded_later(dapr: Stage) -> None:
    metadata = {"emailTo": a_recipient(), "subject": "An order"}

    with pytest.raises(BindingRefused, match="couldn't find output bind") as refused:
        await smtp.send(dapr.other, "letter", "Hello", metadata)

    assert not refused.value.permanent


@pytest.mark.parametrize("address", ["jane", "550"])
async def test_what_is_no_address_is_permanently_refused(
    dapr: Stage, address: str
) -> None:
    with pytest.raises(BindingRefused, match="invalid address") as refused:
        await send(dapr, address)

    assert refused.value.permanent


async def test_a_mail_beyond_4_mib_is_refused_permanently(dapr: Stage) -> None:
    with pytest.raises(BindingRefused, match="stream too large") as refused:
        await send(dapr, a_recipient(), "a" * LARGEST)

    assert refused.value.permanent
