"""docs/reference.md has what the code has; that it is up to date, test_publishing.py checks."""

from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings

from toolchain.documents import reference


def test_a_setting_without_a_description_is_refused() -> None:
    class Settings(BaseSettings):
        """Settings of a service whose author forgot something."""

        color: str = "red"

    with pytest.raises(ValueError, match="the setting color has no description"):
        list(reference.settings_table("A service", Settings, ["color"]))


def test_a_setting_is_shown_with_its_values_and_its_default() -> None:
    class Settings(BaseSettings):
        """Settings of a service."""

        port: int | None = Field(None, ge=1, le=9, description="a|b")

    *_, row = reference.settings_table("A service", Settings, ["port"])

    assert row == "| `PORT` | whole number from 1 to 9 | none | a\\|b |"


def test_the_page_names_every_problem_that_the_code_can_raise() -> None:
    page = reference.document()
    root = Path(reference.__file__).parents[2]
    code = [*root.glob("chassis/**/*.py"), *root.glob("services/**/*.py")]
    raised = sum(file.read_text().count("(Rejected):") for file in code)

    assert page.count("`urn:problem-type:") == raised
