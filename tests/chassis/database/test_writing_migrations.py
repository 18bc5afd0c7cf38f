"""Writing a migration: a service's next one, from its newest one to its models."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.database import migrate
from tests.chassis.database.test_migration import ask, url_in, versions

A_NEW_SERVICE = '''
"""The tables of a service."""

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of this service."""


class Invoice(Base):
    """An invoice."""

    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[str] = mapped_column(String(20))
'''
A_NEW_COLUMN = "    size: Mapped[int | None] = mapped_column()\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the package of a new service, which can be imported."""
    folder = tmp_path / "invoicing"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "model.py").write_text(A_NEW_SERVICE)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    forget()


def forget() -> None:
    """Make the new service's package be imported again."""
    for name in [each for each in sys.modules if each.startswith("invoicing")]:
        del sys.modules[name]


def test_a_services_first_migration_is_written_from_its_models_and_later_ones_too(
    package: Path, tmp_path: Path
) -> None:
    migrate.write("invoicing", "Invoices")
    forget()
    with (package / "model.py").open("a") as model:
        model.write(A_NEW_COLUMN)
    migrate.write("invoicing", "Add a size")

    first, second = sorted((package / "migrations" / "versions").glob("[0-9]*.py"))
    assert (first.stem, second.stem) == (
        "0001_invoicing_invoices",
        "0002_invoicing_add_a_size",
    )
    assert "outbox" not in first.read_text()
    assert second.read_text().count("'size'") == 2
    assert 'compatible_from = "0001_invoicing"' in second.read_text()
    migrate.upgrade("invoicing", url_in(tmp_path), package / "migrations")
    assert versions(url_in(tmp_path)) == {"0001.2_chassis", "0002_invoicing"}
    assert ask(url_in(tmp_path), "SELECT id, colour, size FROM invoice") == []
