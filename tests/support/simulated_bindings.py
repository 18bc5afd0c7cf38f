"""The simulated sidecar's SMTP binding: daprd's answer to each thing that a mail server may do.

The mail server is a mailbox with acts, like the one of tests/support/mail_server.py. The binding that speaks
to a mail API is in simulated_posting.py.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.mail_server import Act, Mail, Mailbox, plain

LARGEST = 4 * 1024 * 1024
SENDER = "Orders <orders@localhost>"
PLAIN_ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+", re.ASCII)
PLAIN_WORD = re.compile(r"[\w.+-]+", re.ASCII)
EXPECTED = {"GREETING": "220", "MAIL": "250", "RCPT": "25", "DATA": "354", "DOT": "250"}
"""The stages of a transfer before the goodbye, and how a positive reply starts."""


async def create(
    request: Request, mailbox: Mailbox | None, *, is_down: bool
) -> Response:
    """Send a mail to a mailbox; `is_down` where its server does not run."""
    body, name = await request.body(), request.path_params["name"]
    if len(body) > LARGEST:
        return too_large()
    if mailbox is None:
        return failure(name, f"couldn't find output binding {name}")
    request_body = json.loads(body)
    if request_body["operation"] != "create":
        return unsupported(name, request_body["operation"], "create")
    mail = _mail(request_body)
    with _connection(mailbox):
        error = await _dial(mailbox, is_down=is_down) or await _transfer(mailbox, mail)
    if error:
        return failure(name, f"error from smtp binding, sending email failed: {error}")
    return Response(status_code=204)


@contextmanager
def _connection(mailbox: Mailbox) -> Iterator[None]:
    connection = asyncio.BaseTransport()
    mailbox.opens(connection)
    try:
        yield
    finally:
        mailbox.open.discard(connection)


def _mail(request_body: dict[str, object]) -> Mail:
    metadata, data = request_body["metadata"], request_body["data"]
    if not isinstance(data, str):
        raise NotImplementedError("anything but a text")
    if not isinstance(metadata, dict) or metadata.keys() != {"emailTo", "subject"}:
        raise NotImplementedError("what a call leaves out, daprd takes from an earlier")
    if not all(isinstance(each, str) and each for each in metadata.values()):
        raise NotImplementedError("what is empty, daprd takes from an earlier call")
    if "=?" in metadata["subject"]:
        raise NotImplementedError("subjects that look as if they were encoded")
    return Mail((metadata["emailTo"],), SENDER, metadata["subject"], plain(data))


async def _dial(mailbox: Mailbox, *, is_down: bool) -> str:
    if is_down:
        return "dial tcp 127.0.0.1:1025: connect: connection refused"
    mailbox.connections += 1
    return await _error(mailbox.act("GREETING"), "GREETING")


async def _transfer(mailbox: Mailbox, mail: Mail) -> str:
    (to,) = mail.recipients
    error = "" if PLAIN_ADDRESS.fullmatch(to) else _invalid(to)
    if mailbox.act("MAIL").drop:
        raise NotImplementedError("daprd dials again at once, and so on without end")
    for stage in ("MAIL", "RCPT", "DATA", "DOT"):
        act = mailbox.act(stage, *([] if stage == "MAIL" else [to]))
        if stage == "DOT" and not error and not act.refuses:
            mailbox.mails.append(mail)
        error = error or await _error(act, stage)
    if not error:
        await asyncio.sleep(mailbox.act("QUIT").delay)
    return error and f"gomail: could not send email 1: {error}"


def _invalid(address: str) -> str:
    if not PLAIN_WORD.fullmatch(address):
        raise NotImplementedError("addresses that are not plain")
    return f"gomail: invalid address \"{address}\": mail: missing '@' or angle-addr"


async def _error(act: Act, stage: str) -> str:
    await asyncio.sleep(act.delay)
    if act.drop:
        return "EOF"
    if not act.reply or act.reply.startswith(EXPECTED[stage]):
        return ""
    if not re.match(r"\d{3}[ -]", act.reply):
        return f"short response: {json.dumps(act.reply)}"
    text = "\n".join(line[4:] for line in act.reply.splitlines())
    return f"{act.reply[:3]} {json.dumps(text)}"


def too_large() -> Response:
    """Refuse a request that is longer than daprd reads."""
    message = "failed deserializing HTTP body: stream too large"
    wrong = {"errorCode": "ERR_MALFORMED_REQUEST", "message": message}
    return JSONResponse(wrong, 400)


def unsupported(name: str, operation: str, supported: str) -> Response:
    """Refuse what a binding of this kind cannot do."""
    why = f"binding {name} does not support operation {operation}."
    return failure(name, f"{why} supported operations:{supported}")


def failure(name: str, why: str) -> Response:
    """Return daprd's answer to what went wrong."""
    message = f"error invoking output binding {name}: {why}"
    code = "ERR_INVOKE_OUTPUT_BINDING"
    return JSONResponse({"errorCode": code, "message": message}, 500)
