"""A mail's text: it reads well, and what a customer wrote is text in it, whatever that is."""

import re
from datetime import datetime
from html.parser import HTMLParser
from uuid import UUID

import pytest

from services.notification.channels import body, subject
from services.notification.model import Notification
from tests.notification.mail_room import MailRoom

ORDER = UUID("01a20727-ad7d-7a6d-8ffc-e0698ef24ad8")
HOSTILE = {
    "HTML": "<b>Jane</b><img src=x onerror=alert(1)>",
    "script": "</bdi><script>alert(1)</script>",
    "end of the title": "</title></head><!--",
    "quotes": 'Jane "JD" O\'Doe',
    "references": "Jane &amp; &#x3c;Ann&#x3e;",
    "emoji": "\U0001f469\u200d\U0001f680 Jane \U0001f389",
    "right to left": "\u0645\u0631\u064a\u0645 \u0627\u0644\u0639\u0644\u064a",
    "right to left mark": "Jane \u200fDoe",
    "template": "$order_id ${customer_name} $$ $nothing {order_id} %s %(subject)s",
    "long": "W" * 200,
}


class Read(HTMLParser):
    """What a mail program shows of a body, and what it would have to load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.lines: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Remember a text."""
        if data.strip():
            self.lines.append(data)


def to(name: str) -> Notification:
    """Make a notification for a customer of this name."""
    return Notification(
        order_id=ORDER,
        customer_name=name,
        created_at=datetime.fromisoformat("2026-01-31T09:05:30.123+01:00"),
    )


def test_a_mail_says_what_a_customer_wants_to_know() -> None:
    assert subject(to("Jane Doe")) == f"Your order {ORDER}"
    assert Read(body(to("Jane Doe"))).lines == [
        f"Your order {ORDER}",
        "Thank you for your order",
        "Dear ",
        "Jane Doe",
        ",",
        "We have received your order. There is nothing you need to do.",
        "Order number",
        str(ORDER),
        "Ordered on",
        "31 January 2026 at 08:05 UTC",
        "If you have a question about your order, please have this number at hand.",
        "You get this message because your e-mail address was given with the order. "
        "Replies to it are not read.",
    ]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_name_contains_is_shown_as_text(name: str) -> None:
    plain, hostile = Read(body(to("Jane"))), Read(body(to(name)))

    assert name in hostile.lines
    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes
    assert [each for each in hostile.lines if each != name] == [
        each for each in plain.lines if each != "Jane"
    ]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
async def test_it_arrives_as_it_was_written(room: MailRoom, name: str) -> None:
    await room.order(name=name)

    await room.dispatcher().step()

    (mail,) = room.mailbox.mails
    assert name in Read(mail.text).lines


def test_a_subject_is_one_line_that_no_customer_writes() -> None:
    for name in HOSTILE.values():
        assert subject(to(name)) == subject(to("Jane"))
    assert "\n" not in subject(to("Jane"))


def test_a_mail_loads_nothing_and_needs_no_style_sheet() -> None:
    read = Read(body(to("Jane")))

    assert not {"img", "link", "script", "style", "a"} & set(read.tags)
    assert not re.search(r"https?:|url\(|@import", body(to("Jane")))


def test_a_mail_keeps_the_readers_own_colours() -> None:
    styles = [
        value or ""
        for name, value in Read(body(to("Jane"))).attributes
        if name == "style"
    ]

    assert not any(re.search(r"(?<![-\w])(background|color):", each) for each in styles)
