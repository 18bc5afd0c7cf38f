"""How the API's bodies and pages look: camelCase outside, strict about what comes in."""

import unicodedata
from typing import Annotated, Generic, TypeVar

from email_validator import EmailNotValidError, validate_email
from fastapi import Query
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Body(BaseModel):
    """A body that comes in: other spellings, unknown fields and values of another type are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, frozen=True
    )


class View(BaseModel):
    """A body that goes out, read from a row of the database."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        from_attributes=True,
        frozen=True,
    )


V = TypeVar("V", bound=View)


class Page(View, Generic[V]):
    """One page of a list, newest first; `next` is the cursor of the page after it, null on the last one."""

    # The classes that are made from this one have no docstring.
    model_config = ConfigDict(
        json_schema_extra={"description": "One page of a list, newest first."}
    )

    items: list[V]
    next: Annotated[
        str | None, Field(examples=["01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"])
    ]


Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]


def _printable(text: str) -> str:
    # Line breaks and controls could forge lines of a log or a mail, bidirectional ones reorder them.
    if any(
        unicodedata.category(c) in {"Cc", "Zl", "Zp"} or c in _BIDI_CONTROLS
        for c in text
    ):
        raise ValueError("must not contain control characters or line breaks")
    if not any(unicodedata.category(c)[0] in "LNPS" for c in text):
        raise ValueError("must not be blank")
    return text


Line = Annotated[
    str, AfterValidator(_printable), StringConstraints(strip_whitespace=True)
]
"""One line of text that can be read."""


def _deliverable(address: str) -> str:
    # As mail servers take it without extensions: ASCII, one address, nothing that begins another header.
    try:
        checked = validate_email(
            address, check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError as error:
        raise ValueError(f"must be an e-mail address: {error}") from error
    return str(checked.ascii_email)


Address = Annotated[
    str,
    AfterValidator(_deliverable),
    WithJsonSchema({"type": "string", "format": "email"}),
]
"""One e-mail address, its domain as DNS has it; whether it takes mail is not asked."""
