"""`make rename`: a new repository with other names, in which nothing is left of the old ones."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import copied
from toolchain.rename.__main__ import flaws
from toolchain.rename.words import Names, plural, renamed

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
HOTEL = Names("hotel-desk", "booking", "reminder", "BookingMade")
OLD = re.compile(
    r"(?<![a-z])orders?(?![a-z])|notification|OrderCreated|order_created|orders.on.dapr",
    re.IGNORECASE,
)
SORTED = re.compile(
    r"order.?by|in_order|keeps_order|(?:sort|key) order|in order\b|order (?:of|in which)|no order here"
    r"|reorder|orders (?:the|a)\b|order what"
    r"|(?:in|has) (?:good|one|any|any other|another|an|their|its|this|the same|the right)? ?order",
    re.IGNORECASE,
)
BY_OTHERS = (
    *("tests/documents/asyncapi/", "components.json", "deviations.yaml"),
    *("go.sum", "LICENSE", ".png"),
)
SAID = {
    "A customer places an order; orders wait.": "A customer places a booking; bookings wait.",
    "An Order, ORDERS and order_id": "A Booking, BOOKINGS and booking_id",
    "test_an_order_is_notified": "test_a_booking_is_notified",
    "class OrderCreated(Event)": "class BookingMade(Event)",
    "notify_customer_on_order_created": "notify_customer_on_booking_made",
    "GET /api/order/{orderId}": "GET /api/booking/{bookingId}",
    "NotificationSent for CreateOrder": "ReminderSent for CreateBooking",
    "in the order of time, once and in order": "in the order of time, once and in order",
    "ORDER BY id; .order_by(Order.id)": "ORDER BY id; .order_by(Booking.id)",
    "for each in order.rows()": "for each in booking.rows()",
    "border, recorder, ordered": "border, recorder, ordered",
    "the order of a customer": "the order of a customer",
    "orders-on-dapr, Orders on Dapr": "hotel-desk, Hotel desk",
    "runbooks.md#ordersrefused": "runbooks.md#bookingsrefused",
}
BAD = {
    "PROJECT is one word": Names("Hotel", "booking", "reminder", "BookingMade"),
    "PROJECT has a word": Names("order-desk", "booking", "reminder", "BookingMade"),
    "EVENT has a word": Names("hotel", "booking", "reminder", "OrderPlaced"),
    "ORDER is one English word": Names("hotel", "two words", "reminder", "BookingMade"),
    "NOTIFICATION is one English word": Names("hotel", "booking", "event", "BookingMade"),
    "NOTIFICATION is one English": Names("hotel", "booking", "order", "BookingMade"),
    "ORDER and NOTIFICATION are two": Names("hotel", "booking", "booking", "BookingMade"),
    "EVENT is what happened": Names("hotel", "booking", "reminder", "booked"),
    "EVENT is what happened first": Names("hotel", "booking", "reminder", "BookingErased"),
}  # fmt: skip
USED = (
    "event",
    "message",
    "customer",
    "gateway",
    "mail",
    "alert",
    "list",
    "class",
    "test",
)
"""Words that mean something else here already."""


@pytest.mark.parametrize(("text", "expected"), SAID.items())
def test_a_word_is_replaced_in_every_spelling_and_a_sequence_stays_one(
    text: str, expected: str
) -> None:
    assert renamed(text, HOTEL) == expected


def test_an_article_fits_the_new_word() -> None:
    name = Names("office", "invoice", "alert", "InvoiceSent")

    said = renamed("an order, a notification, a_notification", name)

    assert said == "an invoice, an alert, an_alert"


@pytest.mark.parametrize(
    ("one", "many"), [("visit", "visits"), ("party", "parties"), ("box", "boxes")]
)
def test_a_plural_is_english(one: str, many: str) -> None:
    assert plural(one) == many


@pytest.mark.parametrize(("why", "names"), BAD.items())
def test_a_name_that_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, why: str, names: Names
) -> None:
    assert next(flaws(names, tmp_path / "new")).startswith(why)


@pytest.mark.parametrize("word", USED)
def test_a_word_that_means_something_else_here_is_refused(
    tmp_path: Path, word: str
) -> None:
    names = Names("hotel", word, "reminder", "BookingMade")

    assert next(flaws(names, tmp_path / "new")).startswith("ORDER is one English word")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    assert [*flaws(HOTEL, tmp_path)] == [f"There is a {tmp_path} already."]
    assert [*flaws(HOTEL, ROOT / "new")] == ["TO lies in this repository."]


@pytest.fixture(scope="module")
def hotel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a new repository of a copy of this one, as it is now."""
    folder = tmp_path_factory.mktemp("renamed")
    source, target = copied(folder / "here"), folder / "hotel"
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "It")):
        subprocess.run(["git", *command], cwd=source, check=True)
    options = (
        *("--project=hotel-desk", "--order=booking"),
        *("--notification=reminder", "--event=BookingMade"),
    )
    done = subprocess.run(
        [sys.executable, "-m", "toolchain.rename", *options, "--to=../hotel"],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "services/booking, services/reminder" in done.stdout
    return target


def test_nothing_is_left_of_the_old_names(hotel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=hotel, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    left = []
    for path in listed:
        if any(each in path for each in BY_OTHERS):
            continue
        lines = (hotel / path).read_text("utf-8").splitlines()
        # The chassis is the same everywhere, and names neither; renaming is about both.
        is_own = not path.startswith(("chassis/", "toolchain/rename/"))
        told = [path, *(lines if is_own else [])]
        left += [f"{path}: {line}" for line in told if OLD.search(SORTED.sub("", line))]

    assert left == []


def test_the_chassis_is_the_same_byte_for_byte_and_names_no_service(
    hotel: Path,
) -> None:
    for file in (ROOT / "chassis").rglob("*.*"):
        if "__pycache__" in file.parts or not file.is_file():
            continue
        assert (hotel / file.relative_to(ROOT)).read_bytes() == file.read_bytes()
        if file.suffix in {".py", ".html"}:
            text = SORTED.sub("", file.read_text("utf-8"))
            assert not OLD.search(text), file


def test_it_has_one_commit_and_a_history_of_its_own(hotel: Path) -> None:
    log = subprocess.run(
        ["git", "log", "--format=%s"], cwd=hotel, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip

    assert log == "Begin hotel-desk\n"
    assert "## Unreleased" in (hotel / "CHANGELOG.md").read_text()


def test_each_service_has_its_database_in_containers(hotel: Path) -> None:
    """A list that begins with `in order` would read as a sequence."""
    made = (hotel / "deploy/compose/databases.sh").read_text()

    assert "for service in reminder booking; do" in made


def test_it_can_be_renamed_again(hotel: Path) -> None:
    words = ("PROJECT=trips", "BOOKING=trip", "REMINDER=class")
    made = ["make", "--no-print-directory", "-n", "rename", *words]
    typed = subprocess.check_output(made, cwd=hotel, text=True).replace("\\\n", "")
    command = shlex.split(typed[typed.index("-m toolchain.rename") :])

    said = subprocess.run(
        [sys.executable, *command], cwd=hotel, capture_output=True, text=True, check=False
    ).stdout  # fmt: skip

    assert "REMINDER is one English word" in said


def test_it_passes_the_linters_and_the_tests_of_its_contracts(hotel: Path) -> None:
    (hotel / ".venv").symlink_to(PROGRAMS.parent)
    tests = ("tests/contracts", "tests/documents/test_publishing.py", "tests/components/test_yaml.py")  # fmt: skip
    for command in (
        ("-m", "ruff", "format", "--check", "."),
        ("-m", "ruff", "check", "."),
        (str(PROGRAMS / "lint-imports"), "--no-logo"),
        (
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "not postgresql",
            *tests,
        ),
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=hotel,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr}"
