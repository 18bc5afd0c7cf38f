"""What is read into the books: each line that was printed, each mail with who got it."""

from pathlib import Path
from uuid import UUID, uuid4

from chassis.runtime import clock
from services.notification.model import Channel, Notification, State
from tests.support.database import migrated
from toolchain.mail import mailbox
from verification.chaos.books import Books, plain
from verification.chaos.reading import Reader, read_mails, read_output, read_records

ORDER = str(uuid4())
LINE = f"Notification for Order {ORDER}: Dear Jane Doe, your order was created at"


def test_each_line_is_read_also_one_that_a_kill_cut_off(tmp_path: Path) -> None:
    log, books = tmp_path / "notification.log", Books()
    log.write_text(
        f"{LINE} noon.\nsupervisor: killed\n{LINE[:70]}supervisor: killed\n{LINE[:30]}"
    )

    read_output(books, log)

    assert books.rows("SELECT * FROM received") == [(plain(ORDER), "line")] * 2


def test_a_mail_is_read_with_who_got_it_and_which_order_it_is_about(
    tmp_path: Path,
) -> None:
    broken = f"Subject: another\r\n\r\nOrder number {ORDER[:9]}=\r\n{ORDER[9:]}"
    mailbox.store(tmp_path, "orders@localhost", ["jane@example.org"], broken.encode())
    books = Books()

    read_mails(books, tmp_path)

    assert books.rows("SELECT * FROM received") == [(plain(ORDER), "jane@example.org")]


async def test_a_held_mail_is_read_with_what_became_of_it(
    tmp_path: Path,
) -> None:
    databases = {each: migrated(each, tmp_path) for each in ("order", "notification")}
    readers = {name: Reader(each.url) for name, each in databases.items()}
    now, books = clock.now(), Books()
    about = {"id": uuid4(), "order_id": UUID(ORDER), "customer_name": "Jane Doe"}
    since = {"created_at": now, "in_doubt_since": now, "reason": "no answer"}
    held = Notification(
        **about, **since, channel=Channel.EMAIL, state=State.HELD, version=2
    )
    await databases["notification"].write(lambda session: session.add(held))
    for each in databases.values():
        await each.close()

    read_records(books, readers)

    assert books.rows("SELECT * FROM held") == [(plain(ORDER), 2, 0, 1, "no answer")]
