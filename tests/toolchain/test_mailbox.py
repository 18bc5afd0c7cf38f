"""Mails as they are stored and read: none is lost, and none can hurt who looks at it."""

from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from toolchain.mail import catcher, mailbox

SCRIPT = b"<script>alert(1)</script>"
HOSTILE = {
    "a script in the subject": b"Subject: " + SCRIPT + b"\r\n\r\nhello",
    "a script in an encoded subject": b"Subject: =?utf-8?b?PHNjcmlwdD4=?=\r\n\r\nhello",
    "a script in the sender": b'From: "' + SCRIPT + b'" <a@b>\r\n\r\nhello',
    "a script in the text": b"Subject: hi\r\n\r\n</pre>" + SCRIPT,
    "a script in the HTML": b"Content-Type: text/html\r\n\r\n<p>hello</p>" + SCRIPT,
    "no subject": b"From: a@b\r\n\r\nhello",
    "no header at all": b"hello",
    "nothing": b"",
    "a continuation first": b" of what?\r\n\r\nhello",
    "8-bit headers": "Subject: Grüße\r\n\r\nhello".encode("latin-1"),
    "an unknown charset": b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xfc",
    "another charset than it says": b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xfc",
    "a charset that makes no text": b"Content-Type: text/plain; charset=zip\r\n\r\nx",
    "half a character": b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    "an encoding that is none": b"Subject: =?x?q?a?= =?utf-8?b?a?=\r\n\r\nhello",
    "parts without an end": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x",
    "parts without a boundary": b"Content-Type: multipart/mixed\r\n\r\nhello",
    "broken base64": b"Content-Transfer-Encoding: base64\r\n\r\n@@@",
    "zeros": b"Subject: a\0b\r\n\r\nhel\0lo",
}
DEEP = b"".join(
    b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n)
    for n in range(5000)
)


def page_of(folder: Path) -> httpx.AsyncClient:
    """Make a client for the page of this folder."""
    transport = httpx.ASGITransport(catcher.make_page(folder))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


def both_ways() -> bytes:
    """Write a mail with a text and an HTML part."""
    message = EmailMessage()
    message["From"], message["To"] = "Orders <orders@shop>", "jane@example.org"
    message["Subject"] = "Your order, Nguyễn Thị Minh"
    message.set_content("Dear Minh,\n\nit was created.\n")
    message.add_alternative("<h1>Dear Minh,</h1>", subtype="html")
    return message.as_bytes()


def test_a_mail_is_read_as_it_was_written(tmp_path: Path) -> None:
    mailbox.store(tmp_path, "orders@shop", ["jane@example.org"], both_ways())

    (mail,) = mailbox.newest(tmp_path, 10)
    assert mail.sender == "Orders <orders@shop>"
    assert mail.to == "jane@example.org"
    assert mail.subject == "Your order, Nguyễn Thị Minh"
    assert mail.text == "Dear Minh,\n\nit was created.\n"


def test_the_text_of_a_mail_in_html_is_what_it_says(tmp_path: Path) -> None:
    page = b"<title>x</title><style>p {}</style><p>Dear Jane<br>Doe,</p><p>it &amp; all</p>"
    content = b"Content-Type: text/html\r\n\r\n" + page

    mail = mailbox.read(mailbox.store(tmp_path, "a@b", ["c@d"], content))

    assert mail.text == "Dear Jane\nDoe,\nit & all"


def test_who_gets_it_is_what_the_sender_said_not_what_the_mail_says(
    tmp_path: Path,
) -> None:
    forged = b"To: somebody@else\r\nDelivered-To: forged@else\r\n\r\nhello"

    mail = mailbox.read(mailbox.store(tmp_path, "a@b", ["c@d", "e@f"], forged))

    assert mail.to == "c@d, e@f"


def test_an_address_cannot_write_headers(tmp_path: Path) -> None:
    path = mailbox.store(
        tmp_path, "a@b>\r\nSubject: forged", ["c\n\nd@e"], b"\r\nhello"
    )

    assert mailbox.read(path).subject == ""
    assert mailbox.read(path).text == "hello"


def test_the_newest_come_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    for number in range(5):
        content = b"Subject: %d\r\n\r\n" % number
        mailbox.store(tmp_path, "a@b", ["c@d"], content)

    assert [mail.subject for mail in mailbox.newest(tmp_path, 3)] == ["4", "3", "2"]


def test_what_was_half_written_when_a_kill_came_is_no_mail(tmp_path: Path) -> None:
    (tmp_path / f"{1:020d}-00000000.part").write_bytes(b"Subject: half")

    assert mailbox.newest(tmp_path, 10) == []
    mailbox.open_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_stored_once(tmp_path: Path) -> None:
    mailbox.store(tmp_path, "a@b", ["c@d"], b"first", "0" * 64)

    with pytest.raises(FileExistsError):
        mailbox.store(tmp_path, "a@b", ["c@d"], b"second", "0" * 64)

    assert [mail.text for mail in mailbox.newest(tmp_path, 10)] == ["first"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_mail_is_shown_as_text_beside_the_others(
    content: bytes, tmp_path: Path
) -> None:
    mailbox.store(tmp_path, "a@b", ["c@d"], both_ways())
    path = mailbox.store(tmp_path, "<b>@b\x1b[2J", ["<script>@d"], content)

    async with page_of(tmp_path) as page:
        answer = await page.get("/")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Your order" in answer.text
    assert f"File: {path.name}\n" in answer.text
    assert "\x1b" not in answer.text
    assert path.read_bytes().endswith(content)


async def test_one_that_nobody_can_read_does_not_hide_the_others(
    tmp_path: Path,
) -> None:
    mailbox.store(tmp_path, "a@b", ["c@d"], both_ways())
    mailbox.store(tmp_path, "a@b", ["c@d"], DEEP)

    async with page_of(tmp_path) as page:
        shown = await page.get("/")

    assert shown.status_code == 200
    assert "Your order" in shown.text


async def test_another_page_cannot_read_it_under_a_name_of_its_own(
    tmp_path: Path,
) -> None:
    async with page_of(tmp_path) as page:
        answer = await page.get("/", headers={"Host": "else.example"})

    assert answer.status_code == 400


async def test_the_page_changes_nothing(tmp_path: Path) -> None:
    async with page_of(tmp_path) as page:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert (await page.request(method, "/")).status_code == 405
