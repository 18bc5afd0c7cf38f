"""Make a new repository of this one: make rename PROJECT=hotel-desk ORDER=booking NOTIFICATION=reminder."""

import argparse
import builtins
import keyword
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from toolchain import runfile
from toolchain.machine import terminal
from toolchain.machine.failure import EX_CONFIG, Failure, exit_status
from toolchain.rename import generated
from toolchain.rename.words import OURS, Names, plural, renamed, snake

LEFT_OUT = re.compile(
    r"tests/upgrade/\d.*|tests/toolchain/test_rename.py|docs/decisions/0032-.*"
)
"""What is about this repository's own past, or about renaming it."""
AS_IT_IS = re.compile(
    r"chassis/.*|LICENSE|.*/LICENSE|.*\.sha256|(?:.*/)?go[.-](?:mod|sum|req.*)"
    r"|toolchain/doctor/metadata/(?:components.json|deviations.yaml)"
    r"|tests/documents/asyncapi/.*|toolchain/rename/.*"
)
"""What others wrote, and the chassis: it names no service, and stays comparable with the one here."""
WORD = re.compile(r"[a-z]{2,12}")
PROJECT = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
EVENT = re.compile(r"(?:[A-Z][a-z]+){2,}")
ORDER, NOTIFICATION = OURS.order.upper(), OURS.notification.upper()
"""The variables of the Makefile, which are named by the services too."""
A_WORD = "one English word in the singular, of 2 to 12 small letters, which this project does not use yet."


def main(names: Names, target: Path) -> None:
    """Write the new repository; raises Failure where a name cannot be, or there is something already."""
    if why := next(flaws(names, target), ""):
        raise Failure(
            "The new project cannot be made so",
            why,
            f"Nothing was written. For example: make rename PROJECT=hotel-desk {ORDER}=booking "
            f"{NOTIFICATION}=reminder EVENT=BookingMade",
            EX_CONFIG,
        )
    try:
        copy(runfile.ROOT, target, names)
        generated.renew(target, names)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    _commit(target, names)
    _report(target, names)


def flaws(names: Names, target: Path) -> Iterator[str]:
    """Yield what is wrong with these names, a sentence each."""
    if not PROJECT.fullmatch(names.project) or names.project == OURS.project:
        yield "PROJECT is one word or several with hyphens, of small letters and digits, and not this one's."
    yield from _flaws_of_words(names)
    if not EVENT.fullmatch(names.event) or snake(names.event) in _events(names):
        yield "EVENT is what happened first, in two words or more with capitals: BookingMade."
    for variable, name in (("PROJECT", names.project), ("EVENT", names.event)):
        if name not in (OURS.project, renamed(name, names)):
            yield f"{variable} has a word that the new project has another one for."
    yield from _in_the_way(target)


def _flaws_of_words(names: Names) -> Iterator[str]:
    taken = _words(runfile.ROOT)
    for variable, word, old in (
        (ORDER, names.order, OURS.order),
        (NOTIFICATION, names.notification, OURS.notification),
    ):
        is_free = word == old or taken.isdisjoint({word, plural(word)})
        if not (is_free and _is_word(word)):
            yield f"{variable} is {A_WORD}"
    if names.order == names.notification:
        yield f"{ORDER} and {NOTIFICATION} are two words."


def _is_word(word: str) -> bool:
    is_free = not keyword.iskeyword(word) and not hasattr(builtins, word)
    return is_free and bool(WORD.fullmatch(word))


def _words(root: Path) -> set[str]:
    """Return the words of the services' code, and the names of all files and folders."""
    code = (each for folder in ("services", "contracts") for each in root.glob(f"{folder}/**/*.py"))  # fmt: skip
    used = {word for file in code for word in re.findall(r"[a-z]+", file.read_text())}
    named = {part.partition(".")[0] for path in _tracked(root) for part in path.split("/")}  # fmt: skip
    return used | named


def _events(names: Names) -> set[str]:
    """Return how the other events of the new project are written in code."""
    files = (runfile.ROOT / "contracts").glob("*.py")
    others = {each.stem for each in files} - {snake(OURS.event)}
    return {renamed(each, names) for each in others}


def _in_the_way(target: Path) -> Iterator[str]:
    if target.exists():
        yield f"There is a {target} already."
    if target.is_relative_to(runfile.ROOT.resolve()):
        yield "TO lies in this repository."


def copy(root: Path, target: Path, names: Names) -> None:
    """Copy what git tracks, under the new names."""
    for path in _tracked(root):
        source = root / path
        if LEFT_OUT.fullmatch(path) or not source.is_file():
            continue
        kept = AS_IT_IS.fullmatch(path)
        there = target / (path if kept else renamed(path, names))
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, there)
        if not kept and source.suffix != ".png":
            there.write_text(renamed(source.read_text("utf-8"), names), "utf-8")


def _tracked(root: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    return [*filter(None, listed.stdout.split("\0"))]


def _commit(target: Path, names: Names) -> None:
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, check=False)  # fmt: skip
    nobody = (f"-cuser.name={names.project}", f"-cuser.email={names.project}@localhost")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", f"Begin {names.project}"),
    ):
        who = () if known.stdout else nobody
        subprocess.run(["git", *who, *command], cwd=target, check=True)


def _report(target: Path, names: Names) -> None:
    where = os.path.relpath(target)
    terminal.done("project", f"{names.project} in {where}, with one commit")
    terminal.done("services", f"services/{names.order}, services/{names.notification}")
    terminal.done("event", names.event)
    terminal.plainly(f"""
  Next:

    cd {where} && make setup && make check && make quick
    make run                          # then the whole of it, on real sidecars: make test

  docs/your-own.md says what is still to be said in your own words, and how a newer chassis comes in.""")


def parsed() -> tuple[Names, Path]:
    """Return what the command line names."""
    parser = argparse.ArgumentParser(prog="make rename")
    for option in ("project", OURS.order, OURS.notification, "event", "to"):
        parser.add_argument(f"--{option}", default="")
    given = vars(parser.parse_args())
    order = given[OURS.order] or OURS.order
    event = given["event"] or f"{order.capitalize()}Created"
    notification = given[OURS.notification] or OURS.notification
    names = Names(given["project"], order, notification, event)
    to = Path(given["to"] or runfile.ROOT.parent / names.project)
    return names, to.resolve()


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(*parsed())))
