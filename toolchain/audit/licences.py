"""The licences of the Python packages, as their own metadata name them, and which of them suit this project."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

ALLOWED = frozenset(
    (
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0"),
        *("PSF-2.0", "Unlicense", "Zlib"),
        # Weak copyleft: it binds whoever changes the package itself, which we import as it is.
        *("LGPL-3.0-only", "MPL-2.0"),
    )
)
"""SPDX's names of the licences under which a package may be used here."""
_OLDER = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    # Which of the two it is, the older classifiers do not say; both are allowed.
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""SPDX's names for what older packages say."""
_UNDECLARED = {"axe-playwright-python": "MIT"}
"""Packages whose metadata name none: read in their sources."""
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def locked(file: Path) -> dict[str, str]:
    """Return the packages that a file of locked requirements names, with their versions."""
    return dict(_LOCKED.findall(file.read_text()))


def found(packages: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the packages by licence; those that this platform does not install, by an empty one."""
    by_licence: dict[str, list[str]] = defaultdict(list)
    for name in packages:
        by_licence[_licence_of(name)].append(name)
    return dict(sorted(by_licence.items()))


def is_allowed(licence: str) -> bool:
    """Return whether a package under this may be used: of `A OR B` one is enough, of `A AND B` none may lack."""
    return any(
        all(_plain(each) in ALLOWED for each in re.split(r" AND ", choice))
        for choice in re.split(r" OR ", licence)
    )


def _plain(licence: str) -> str:
    # An exception permits more: Apache-2.0 WITH LLVM-exception.
    return licence.strip(" ()").partition(" WITH ")[0]


def _licence_of(name: str) -> str:
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    if "License-Expression" in said:
        return said["License-Expression"]
    classified = [*_classified(said.get_all("Classifier") or [])]
    plain = said["License"][:60] if "License" in said else "none is named"
    return _UNDECLARED.get(name, " AND ".join(classified) or _OLDER.get(plain, plain))


def _classified(classifiers: list[str]) -> Iterator[str]:
    for each in classifiers:
        kind, *_, last = each.split(" :: ")
        if kind == "License" and last not in {"OSI Approved", "DFSG approved"}:
            yield _OLDER.get(last, last)
