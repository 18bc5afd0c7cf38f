"""A mail server for tests: it takes mails, or does to them whatever it has been told to do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import AnyStr, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
FOR_EVER = 1e6


@dataclass(frozen=True)
class Act:
    """What is done instead of saying yes: wait, and then close the connection or reply this."""

    reply: str = ""
    delay: float = 0.0
    drop: bool = False

    @property
    def refuses(self) -> bool:
        """Whether the reply says that what came was not taken."""
        return self.reply[:1] in {"4", "5"}


DROP, HANG = Act(drop=True), Act(delay=FOR_EVER)


@dataclass(frozen=True)
class Mail:
    """One mail that was taken; its text has bare line feeds, and none at its end."""

    recipients: tuple[str, ...]
    sender: str
    subject: str
    text: str


@dataclass
class Mailbox:
    """The mails that were taken, and the acts: by stage, as in "DOT", or for one recipient, "DOT a@b.test".

    The stages are GREETING, MAIL, RCPT, DATA (the command), DOT (the end of the mail's text) and QUIT; only
    from RCPT to DOT is a recipient known. At DOT a mail has been taken, unless the act there refuses.
    """

    mails: list[Mail] = field(default_factory=list)
    acts: dict[str, Act] = field(default_factory=dict)
    connections: int = 0
    open: set[asyncio.BaseTransport] = field(default_factory=set)
    most_open: int = 0

    def opens(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection, and how many there are at once."""
        self.open.add(transport)
        self.most_open = max(self.most_open, len(self.open))

    def to(self, recipient: str) -> list[Mail]:
        """Return the mails that were taken for a recipient."""
        return [each for each in self.mails if recipient in each.recipients]

    def act(self, stage: str, *recipients: str) -> Act:
        """Return what is to be done at a stage of a transfer to these recipients."""
        keys = (stage, *(f"{stage} {each}" for each in recipients))
        return next((self.acts[key] for key in keys if key in self.acts), Act())


class _Connection(SMTP):
    """One connection; wherever aiosmtpd would say yes, the mailbox's acts come first."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(_Taking(mailbox), hostname="mail.test", enable_SMTPUTF8=True)
        self._mailbox = mailbox
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._mailbox.opens(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        if self.transport:
            self._mailbox.open.discard(self.transport)
        super().connection_lost(error)

    async def push(self, status: AnyStr) -> None:
        """Reply; the first reply of a connection is the greeting."""
        greeting = "" if self._greeted else await self._greet()
        await (super().push(greeting) if greeting else super().push(status))

    async def _greet(self) -> str:
        self._greeted = True
        self._mailbox.connections += 1
        return await self._perform("GREETING")

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the sender."""
        if reply := await self._perform("MAIL"):
            await self.push(reply)
        else:
            await super().smtp_MAIL(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Agree to take the mail's text."""
        if reply := await self._perform("DATA"):
            await self.push(reply)
        else:
            await super().smtp_DATA(arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Reply to QUIT."""
        await self._perform("QUIT")
        await super().smtp_QUIT(arg)

    async def _perform(self, stage: str) -> str:
        known = self.envelope.rcpt_tos if self.envelope else []
        return await _perform(self, self._mailbox.act(stage, *known))


class _Taking:
    """What becomes of a recipient, and of a mail that has come to its last dot."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        connection: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        reply = await _perform(connection, self._mailbox.act("RCPT", address))
        if not reply:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, connection: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        act = self._mailbox.act("DOT", *envelope.rcpt_tos)
        if not act.refuses:
            self._mailbox.mails.append(_mail(envelope))
        return await _perform(connection, act) or "250 OK"


async def _perform(connection: SMTP, act: Act) -> str:
    if act.drop:
        cast("asyncio.Transport", connection.transport).abort()
    # Who has lost the connection is cancelled in here.
    await asyncio.sleep(FOR_EVER if act.drop else act.delay)
    return act.reply


def _mail(envelope: Envelope) -> Mail:
    content = cast("bytes", envelope.content)
    message = message_from_bytes(content, policy=policy.default)
    text = plain(str(message.get_content()))
    recipients = tuple(envelope.rcpt_tos)
    return Mail(recipients, str(message["from"]), str(message["subject"]), text)


def plain(text: str) -> str:
    """Return a text as it is the same before and after a transfer."""
    return text.replace("\r\n", "\n").removesuffix("\n")


@contextmanager
def serving(mailbox: Mailbox, port: int) -> Iterator[None]:
    """Serve a mailbox on this port from a thread of its own: it answers whatever a test waits for."""

    class Serving(Controller):
        def factory(self) -> SMTP:
            return _Connection(mailbox)

    controller = Serving(handler=None, hostname=HOST, port=port)
    controller.start()
    try:
        yield
    finally:
        hang_up = _hang_up(mailbox, controller.server)
        asyncio.run_coroutine_threadsafe(hang_up, controller.loop).result()
        controller.stop()


async def _hang_up(mailbox: Mailbox, server: asyncio.AbstractServer | None) -> None:
    assert server
    server.close()
    await asyncio.sleep(0.01)  # whoever was let in is there after a turn or two
    while mailbox.open:
        for transport in [*mailbox.open]:
            cast("asyncio.Transport", transport).abort()
        await asyncio.sleep(0)
