"""What a line of text and an e-mail address may be."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from chassis.http import Address, Line

NO_LINES = {
    "blank": " \t ",
    "invisible": "\u200b\u2060",
    "line break": "Jane\nDoe",
    "carriage return": "Jane\rDoe",
    "control character": "Jane\x00Doe",
    "line separator": "Jane\u2028Doe",
    "paragraph separator": "Jane\u2029Doe",
    "bidirectional control": "Jane\u202eeoD",
}
# fmt: off
NO_ADDRESSES = {
    "empty": "",
    "blank": " ",
    "number": 42,
    "list": ["jane@example.org"],
    "no domain": "jane",
    "empty domain": "jane@",
    "no local part": "@example.org",
    "no top-level domain": "jane@localhost",
    "reserved domain": "jane@example.test",
    "a number for a domain": "jane@192.0.2.1",
    "domain literal": "jane@[192.0.2.1]",
    "no host name": "jane@ex_ample.org",
    "hyphen first": "jane@-example.org",
    "two dots in the domain": "jane@example..org",
    "two dots": "jane..doe@example.org",
    "dot first": ".jane@example.org",
    "dot last": "jane.@example.org",
    "space before": " jane@example.org",
    "space after": "jane@example.org ",
    "space within": "jane doe@example.org",
    "two with a semicolon": "jane@example.org;ann@example.org",
    "two with a comma": "jane@example.org,ann@example.org",
    "semicolon": "jane;ann@example.org",
    "two at-signs": "jane@ann@example.org",
    "another header": "jane@example.org\r\nBcc: ann@example.org",
    "line feed": "jane\n@example.org",
    "carriage return": "jane@example.org\r",
    "nul": "jane@example.org\x00",
    "display name": "Jane <jane@example.org>",
    "angle brackets": "<jane@example.org>",
    "comment": "jane(doe)@example.org",
    "quoted local part": '"jane doe"@example.org',
    "quoted without need": '"jane"@example.org',
    "backslash": "jane\\@example.org",
    "local part not ASCII": "zo\u00eb@example.org",
    "invisible character": "ja\u200bne@example.org",
    "at-sign not ASCII": "jane\uff20example.org",
    "bidirectional control": "jane@exam\u202eple.org",
    "local part over 64": f"{'j' * 65}@example.org",
    "label over 63": f"jane@{'e' * 64}.org",
    "over 254": "jane@" + ("e" * 62 + ".") * 4 + "org",
    "over 254 as DNS has it": "jane@" + "\u00fc" * 30 + ("." + "\u00fc" * 30) * 5 + ".org",
}
# fmt: on


@pytest.mark.parametrize("text", NO_LINES.values(), ids=NO_LINES)
def test_what_could_forge_or_hide_a_line_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must not"):
        TypeAdapter(Line).validate_python(text)


def test_the_description_shows_what_is_refused() -> None:
    """But for what only a list of all invisible characters could say, and the rules of DNS."""
    line = re.compile(TypeAdapter(Line).json_schema()["pattern"])
    address = re.compile(TypeAdapter(Address).json_schema()["pattern"])

    lines = [name for name, text in NO_LINES.items() if line.search(text)]
    addresses = [
        name
        for name, text in NO_ADDRESSES.items()
        if isinstance(text, str) and address.search(text)
    ]

    assert lines == ["invisible"]
    assert addresses == [
        "reserved domain",
        "bidirectional control",
        "local part over 64",
        "label over 63",
        "over 254",
        "over 254 as DNS has it",
    ]
    assert line.search("Zo\u00eb")
    assert address.search("jane.o'neil+x@b\u00fccher.example")


@pytest.mark.parametrize(
    "text", ["Jane Doe", "Zo\u00eb", "\u738b\u5c0f\u660e", "\U0001f600"]
)
def test_what_people_are_called_is_a_line(text: str) -> None:
    assert TypeAdapter(Line).validate_python(f" {text} ") == text


@pytest.mark.parametrize("address", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
def test_an_address_that_mail_servers_do_not_take_is_refused(address: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Address).validate_python(address)
