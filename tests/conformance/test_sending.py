"""Sending mails: what arrives, and what a caller is answered while server or sidecar is down."""

import asyncio

import pytest

from chassis.dapr.bindings import BindingRefused, OutcomeUnknown
from chassis.dapr.sidecar import SidecarUnavailable
from services.notification import smtp
from tests.conformance.real_stage import RealStage
from tests.conformance.sending import a_recipient, acting, send
from tests.conformance.stage import DEADLINE, EMAIL, Stage
from tests.support.eventually import eventually
from tests.support.mail_server import DROP, HANG, Act, Mail

SENDER = "Orders <orders@localhost>"


async def works(dapr: Stage) -> None:
    """Check that a mail is sent."""
    to = a_recipient()
    await send(dapr, to)
    assert len(dapr.mailbox.to(to)) == 1


async def test_a_mail_arrives_once_when_the_call_returns(dapr: Stage) -> None:
    to = a_recipient()

    await send(dapr, to, "<p>Hello</p>", "Your order")

    assert dapr.mailbox.to(to) == [Mail((to,), SENDER, "Your order", "<p>Hello</p>")]
    assert dapr.wire.answers[-1] == (204, "")


@pytest.mark.parametrize(
    "text",
    [
        "Zo\u00eb \u5c71\u7530\u592a\u90ce \u0645\u0631\u064a\u0645 \U0001f389",
        '<b>&amp;</b> "quoted" \\ back \u2028 \x7f',
        "a line\n.\n..two\r\n.end",
        "`x` 'y'",
        "a" * 2_000,
    ],
)
async def test_a_text_of_any_language_arrives_intact(dapr: Stage, text: str) -> None:
    to = a_recipient()

    await send(dapr, to, text)

    (mail,) = dapr.mailbox.to(to)
    assert mail.text == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "subject",
    ["Zo\u00eb \u5c71\u7530 \U0001f389", "An order: 50 % off?"],
)
async def test_a_subject_arrives_intact(dapr: Stage, subject: str) -> None:
    to = a_recipient()

    await send(dapr, to, subject=subject)

    (mail,) = dapr.mailbox.to(to)
    assert mail.subject == subject


async def test_a_slow_server_is_waited_for(dapr: Stage) -> None:
    to = a_recipient()
    dapr.mailbox.acts[f"DOT {to}"] = Act(delay=1.0)

    await send(dapr, to)

    assert len(dapr.mailbox.to(to)) == 1


async def test_a_server_that_closes_after_accepting_has_the_mail(dapr: Stage) -> None:
    to = a_recipient()

    with acting(dapr.mailbox, "QUIT", DROP):
        await send(dapr, to)

    assert len(dapr.mailbox.to(to)) == 1


async def test_without_its_server_no_mail_is_accepted_until_it_is_back(
    dapr: Stage,
) -> None:
    to = a_recipient()

    async with dapr.mail_server_stopped():
        with pytest.raises(BindingRefused, match="connection refused") as refused:
            await send(dapr, to)

    assert not refused.value.permanent
    await works(dapr)
    assert dapr.mailbox.to(to) == []


async def test_a_sidecar_that_is_stopped_has_sent_nothing(dapr: Stage) -> None:
    to = a_recipient()

    async with dapr.sidecar_stopped():
        with pytest.raises(SidecarUnavailable, match="no connection"):
            await send(dapr, to)

    await works(dapr)
    assert dapr.mailbox.to(to) == []


async def test_the_outcome_is_unknown_where_a_sidecar_does_not_answer(
    dapr: Stage,
) -> None:
    async with dapr.sidecar_stalled():
        with pytest.raises(OutcomeUnknown, match="TimeoutError"):
            await send(dapr, a_recipient())

    await works(dapr)


@pytest.mark.system
async def test_daprd_sends_a_mail_that_its_caller_has_given_up(
    real_stage: RealStage,
) -> None:
    to = a_recipient()
    async with real_stage.sidecar_stalled():
        with pytest.raises(OutcomeUnknown):
            await send(real_stage, to)

    await _is_accepted(real_stage, to)


@pytest.mark.system
async def test_a_mail_that_was_given_up_does_not_mix_with_the_next(
    real_stage: RealStage,
) -> None:
    """daprd has read what it mixes up before it dials: a sidecar that answers has begun with the first."""
    first, second = a_recipient(), a_recipient()
    with (
        acting(real_stage.mailbox, "GREETING", Act(delay=DEADLINE + 1)),
        pytest.raises(OutcomeUnknown),
    ):
        await send(real_stage, first, "to the first", "The first")

    await send(real_stage, second, "to the second", "The second")

    await _is_accepted(real_stage, first)
    for to, name in ((first, "first"), (second, "second")):
        (mail,) = real_stage.mailbox.to(to)
        assert mail == Mail((to,), SENDER, f"The {name}", f"to the {name}")


@pytest.mark.system
async def test_the_outcome_is_unknown_where_a_sidecar_was_killed(
    real_stage: RealStage,
) -> None:
    to = a_recipient()
    with acting(real_stage.mailbox, "DOT", HANG):
        sending = asyncio.create_task(send(real_stage, to))
        await _is_accepted(real_stage, to)

        await real_stage.other_daprd.kill()

        with pytest.raises(
            OutcomeUnknown, match=r"ServerDisconnectedError|ClientOSError"
        ):
            await sending
    await real_stage.reach_each_other()
    await works(real_stage)


@pytest.mark.system
async def test_daprd_dials_without_end_while_the_server_closes_after_mail(
    real_stage: RealStage,
) -> None:
    """The simulated binding does not do that: it raises NotImplementedError."""
    to, mailbox = a_recipient(), real_stage.mailbox
    before = mailbox.connections

    with (
        acting(mailbox, "MAIL", DROP),
        pytest.raises(OutcomeUnknown, match="TimeoutError"),
    ):
        await send(real_stage, to)

    assert mailbox.connections > before + 50
    await _is_accepted(real_stage, to)


@pytest.mark.system
async def test_daprd_sends_to_the_last_recipient_what_names_none(
    real_stage: RealStage,
) -> None:
    """And so every call must name one; the simulated binding raises NotImplementedError."""
    to = a_recipient()
    await send(real_stage, to, "to the first")

    await smtp.send(real_stage.other, EMAIL, "to nobody", {"subject": "An order"})

    assert [each.text for each in real_stage.mailbox.to(to)] == [
        "to the first",
        "to nobody",
    ]


async def _is_accepted(dapr: Stage, to: str) -> None:
    async def accepted() -> bool:
        return len(dapr.mailbox.to(to)) == 1

    await eventually(accepted, f"the mail to {to} is accepted")
