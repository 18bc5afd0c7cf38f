"""Secrets that the services of one machine share, each in a file that the first of them creates."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from chassis.runtime.settings import refuse

FOLDER = "SECRETS_FOLDER"

T = TypeVar("T")


def read_or_create(
    file: Path, create: Callable[[], str], parse: Callable[[str], T]
) -> T:
    """Return what `parse` makes of the file; where there is none, write what `create` returns.

    `parse` raises ValueError where the text is not what it should be. Ends the process with exit status 78
    and a sentence where the file cannot be used.
    """
    try:
        if not file.exists():
            _write(file, create())
        return parse(file.read_text().strip())
    except OSError as error:
        refuse(FOLDER, f"{type(error).__name__}, {error.strerror}", file)
    except ValueError as error:
        refuse(FOLDER, f"{error}; remove it, and a new one is created", file)


def replace(file: Path, text: str) -> None:
    """Replace a file's text at once, for its owner alone."""
    with NamedTemporaryFile(
        "w", dir=file.parent, prefix=f"{file.name}.", delete=False
    ) as draft:
        draft.write(text)
    Path(draft.name).replace(file)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Its mode is 0600 from the beginning.
    with NamedTemporaryFile("w", dir=file.parent, prefix=f"{file.name}.") as draft:
        draft.write(text)
        draft.flush()
        # A link appears whole or not at all, and not where another service has made one meanwhile.
        with suppress(FileExistsError):
            file.hardlink_to(draft.name)
