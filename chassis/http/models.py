"""The shape of the API's bodies, queries and pages: camelCase outside, and strict about what comes in."""

import unicodedata
from contextvars import ContextVar
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from fastapi import Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

# As JSON Schema can say it; what has nothing but characters that nobody sees is refused, too.
_HIDDEN = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_PATTERN = rf"^[^{_HIDDEN}]*[^\s{_HIDDEN}][^{_HIDDEN}]*$"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
NEEDED_WITHOUT_TOKENS = "x-needed-without-tokens"
"""Marks a field that the description requires where no token says the same (chassis/http/openapi.py)."""
_LETTER = r"[A-Za-z\u00a1-\uffff]"
_LABEL = (
    r"[A-Za-z0-9\u00a1-\uffff]([A-Za-z0-9\u00a1-\uffff-]*[A-Za-z0-9\u00a1-\uffff])?"
)
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Body(BaseModel):
    """A body that comes in: other spellings, unknown fields and values of another type are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
    )


class QueryModel(BaseModel):
    """The query of a request, as `Annotated[…, Query()]`: unknown fields are refused, as a body's are."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class View(BaseModel):
    """A body that goes out; it can be made from any object with attributes of the same names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        from_attributes=True,
        frozen=True,
        hide_input_in_errors=True,
    )


V = TypeVar("V", bound=View)


class Page(View, Generic[V]):
    """One page of a list, newest first; `next` is the cursor of the next page, null on the last one."""

    # The classes that are made from this one have no docstring.
    model_config = ConfigDict(
        json_schema_extra={"description": "One page of a list, newest first."}
    )

    items: list[V]
    next: Annotated[
        str | None, Field(examples=["01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"])
    ]


Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]
"""How many items of a list a page has at most."""


class PageQuery(QueryModel):
    """Which page of a list to return."""

    limit: Limit = 50
    cursor: Annotated[UUID | None, Query(description="`next` of the page before")] = (
        None
    )


def _printable(text: str) -> str:
    # Line breaks and controls could forge lines of a log or a mail, bidirectional ones reorder them.
    if not text.isprintable() and any(
        unicodedata.category(c) in {"Cc", "Zl", "Zp"} or c in _BIDI_CONTROLS
        for c in text
    ):
        raise ValueError("must not contain control characters or line breaks")
    if all(unicodedata.category(c) in {"Cf", "Zs"} for c in text):
        raise ValueError("must not be blank")
    return text


Line = Annotated[
    str,
    AfterValidator(_printable),
    StringConstraints(strip_whitespace=True),
    Field(json_schema_extra={"pattern": _PATTERN}),
]
"""One line of readable text."""


def _deliverable(address: str) -> str:
    # What every mail server accepts: ASCII, one address, nothing that begins another header.
    try:
        checked = validate_email(
            address, check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError as error:
        raise ValueError(f"must be an e-mail address: {error}") from error
    return str(checked.ascii_email)


AS_TEXT = "as text"
"""The context in which the fields of a form are validated: all of them are text."""


def _whole(given: object, info: ValidationInfo) -> object:
    if isinstance(given, str) and info.context == AS_TEXT and given.isdecimal():
        return int(given)
    # To JSON Schema, 14.0 is an integer.
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole)]
"""An integer of a body."""

subject: ContextVar[str | None] = ContextVar("subject", default=None)
"""The subject of whoever sent the request that is handled; None where there is no access control."""


def _decider(given: object) -> object:
    # Where a token says who it is, nobody says they are somebody else.
    found = subject.get() or given
    if found is None:
        raise ValueError("Field required")
    return found


By = Annotated[
    Line,
    BeforeValidator(_decider),
    Field(
        default_factory=lambda: None,
        validate_default=True,
        min_length=1,
        max_length=255,
        examples=["Ada Lovelace"],
        description="Who decides. With access control it is the token's subject, whatever is sent, if anything",
        json_schema_extra={NEEDED_WITHOUT_TOKENS: True},
    ),
]
"""Who decides something."""


Address = Annotated[
    str,
    AfterValidator(_deliverable),
    WithJsonSchema(
        {
            "type": "string",
            "format": "idn-email",
            "pattern": rf"^{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+{_LETTER}{_LABEL}$",
        }
    ),
]
"""One e-mail address, its domain in the form of DNS; whether it accepts mail is not checked."""
