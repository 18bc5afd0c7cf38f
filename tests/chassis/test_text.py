"""Text from outside is one line that moves no cursor, forges no line and turns no direction."""

import pytest

from chassis.text import escaped, without_addresses

HOSTILE = {
    "an escape sequence": "\x1b[2J",
    "a carriage return": "\rERROR",
    "a line break": "\n",
    "a line break of Unicode": "\u2028",
    "a control character above ASCII": "\x9b31m",
    "an override of the direction": "\u202e",
    "an isolate of the direction": "\u2066",
    "a bell": "\x07",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=[*HOSTILE])
def test_what_a_terminal_would_obey_is_written_out(hostile: str) -> None:
    shown = escaped(f"a{hostile}b")

    assert hostile[0] not in shown
    assert shown.startswith("a\\")
    assert shown.isprintable()


@pytest.mark.parametrize("name", ["Nguyễn Thị Minh", "李小龙", "क्\u200dष", "a\u00a0b"])
def test_a_name_stays_as_it_is(name: str) -> None:
    assert escaped(name) == name


@pytest.mark.parametrize("end", ["", "@", " jane@example.org"])
@pytest.mark.timeout(60)
def test_a_long_word_is_looked_through_once_for_an_address(end: str) -> None:
    """By a pattern that begins anywhere in it, in an hour."""
    word = "a" * 1_000_000

    shown = without_addresses(f"{word}{end} @")

    assert shown == f"{word}{end} @".replace("jane@example.org", "(address)")
