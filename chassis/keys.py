"""The files of signing keys: one for each producer, named by its app-id, in SECRETS_FOLDER.

A producer's own file has the keys that sign; a consumer's file of the same name needs only what verifies. Running
services read a file again when it has changed, so that a key is renewed without a pause:

python -m chassis.keys add .local/shop.keys [--ed25519]   a new key, which verifies: do it for every consumer too
python -m chassis.keys use .local/shop.keys KEY           it signs from now on
python -m chassis.keys drop .local/shop.keys KEY          nothing verifies by it any more
python -m chassis.keys public .local/shop.keys            what a consumer of Ed25519 signatures needs
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from chassis.runtime.secret_file import read_or_create, replace
from chassis.signature import SigningKeys, new_line, public_line

_log = logging.getLogger(__name__)

REREAD = 1.0
"""Seconds after which a file of keys is looked at again."""
# What an app-id may be; no path leads out of the folder.
_A_SOURCE = re.compile(r"/([a-z0-9][a-z0-9-]{0,62})")


class KeyFile:
    """A producer's keys in a file, which is read again when it has changed."""

    def __init__(
        self, file: Path, read: Callable[[Path], SigningKeys] | None = None
    ) -> None:
        self._file = file
        self._state = _state(file)
        self._keys = (read or _read)(file)
        self._state = self._state or _state(file)
        self._looked_at = monotonic()

    def current(self) -> SigningKeys:
        """Return the keys as they are now; a file that cannot be used changes nothing."""
        now = monotonic()
        if not 0 <= now - self._looked_at < REREAD:
            self._looked_at = now
            state = _state(self._file)
            if state != self._state:
                self._state = state
                self._reread()
        return self._keys

    def _reread(self) -> None:
        try:
            self._keys = _read(self._file)
        except (OSError, ValueError) as error:
            text = "%s cannot be used, and its keys stay as they were: %s"
            _log.error(text, self._file.name, error)
            return
        ids = ", ".join(self._keys.keys)
        _log.info("%s was read again; its keys are %s", self._file.name, ids)


class Keyring:
    """The keys that a service holds: its own sign, and each producer's verify what that producer publishes."""

    def __init__(self, folder: Path, service: str) -> None:
        own = KeyFile(folder / f"{service}.keys", load_signing_keys)
        self._folder, self._own = folder, own
        self._of = {f"/{service}": own}

    def sign(self, envelope: Mapping[str, Any]) -> str:
        """Return this service's signature of an envelope; raises UnsignableData."""
        return self._own.current().sign(envelope)

    def verify(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an envelope carries a signature by the service that it names as its source."""
        keys = self.of(envelope.get("source"))
        return keys is not None and keys.verify(envelope)

    def of(self, source: object) -> SigningKeys | None:
        """Return the keys of a producer, where this service has them."""
        if source not in self._of:
            name = _A_SOURCE.fullmatch(source) if isinstance(source, str) else None
            file = self._folder / f"{name[1]}.keys" if name else None
            if not name or not file or not file.is_file():
                return None
            try:
                self._of[name[0]] = KeyFile(file)
            except (OSError, ValueError) as error:
                _log.error("%s cannot be used: %s", file.name, error)
                return None
        return self._of[str(source)].current()


def load_signing_keys(file: Path) -> SigningKeys:
    """Return the keys in this file; the service whose they are creates it.

    Ends the process with exit status 78 and a sentence where the file cannot be used.
    """
    return read_or_create(file, new_line, _parse_own)


def _parse_own(text: str) -> SigningKeys:
    keys = SigningKeys.parse(text)
    if not keys.can_sign:
        raise ValueError("its first key is a public one, which cannot sign")
    return keys


def _read(file: Path) -> SigningKeys:
    return SigningKeys.parse(file.read_text())


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class UnknownKey(ValueError):
    """The file has no key with this id."""


def add(text: str, *, asymmetric: bool = False) -> str:
    """Return a file's text with a new key at its end."""
    return "\n".join([*_lines(text), new_line(asymmetric=asymmetric)])


def use(text: str, key_id: str) -> str:
    """Return a file's text with this key at its top; raises UnknownKey."""
    line = _line_of(text, key_id)
    return "\n".join([line, *(each for each in _lines(text) if each != line)])


def drop(text: str, key_id: str) -> str:
    """Return a file's text without this key; raises UnknownKey, and ValueError where it signs."""
    lines, line = _lines(text), _line_of(text, key_id)
    if lines[0] == line:
        raise ValueError(f"{key_id} signs: use another key first")
    return "\n".join(each for each in lines if each != line)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _line_of(text: str, key_id: str) -> str:
    for line in _lines(text):
        if line.startswith(f"{key_id}:"):
            return line
    raise UnknownKey(f"there is no key {key_id}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line; end the process if it is not valid."""
    parser = argparse.ArgumentParser(prog="python -m chassis.keys")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("add", "use", "drop", "public"):
        one = verbs.add_parser(verb)
        one.add_argument("file", type=Path)
        if verb in {"use", "drop"}:
            one.add_argument("key", help="its id: what is before the colon")
        if verb == "add":
            text = "an Ed25519 key: whoever verifies with its public half cannot sign"
            one.add_argument("--ed25519", action="store_true", help=text)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Change the file that the command line names; return the exit status."""
    options = parse(arguments)
    file: Path = options.file
    try:
        text = file.read_text() if file.exists() or options.verb != "add" else ""
        if options.verb == "public":
            sys.stdout.writelines(f"{public_line(each)}\n" for each in _lines(text))
            return 0
        changed = _changed(text, options)
        keys = SigningKeys.parse(changed)
        replace(file, f"{changed}\n")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{file}: {error}\n")
        return os.EX_DATAERR
    sys.stdout.write(
        f"{file}: {next(iter(keys.keys))} signs; {', '.join(keys.keys)} verify.\n"
    )
    return 0


def _changed(text: str, options: argparse.Namespace) -> str:
    if options.verb == "add":
        return add(text, asymmetric=options.ed25519)
    return (use if options.verb == "use" else drop)(text, options.key)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
