"""Audit the project: python -m toolchain.audit [licences] [secrets] [advisories] [bills]; all without a word.

The exit status is 1 where something was found, and 0 with a warning where nobody could be asked.
"""

import sys
from collections.abc import Sequence
from itertools import chain
from json import JSONDecodeError
from pathlib import Path
from subprocess import CalledProcessError

from toolchain.audit import advisories, bill, licences, secrets
from toolchain.dapr import build
from toolchain.dapr.programs import CLI, SIDECAR
from toolchain.machine import Machine, find, terminal, this_machine

LOCKS = ("requirements.txt", "requirements-dev.txt")
BILLS = ".local/sbom"
NO_ANSWER = (CalledProcessError, FileNotFoundError, JSONDecodeError)
MOST = 20
"""Findings of a kind that are printed."""


def audit_licences(machine: Machine) -> int:
    """List the licences of all locked packages; return how many packages have one that is not allowed."""
    names = dict(
        chain.from_iterable(
            licences.locked(machine.root / each).items() for each in LOCKS
        )
    )
    found = licences.found(names)
    absent = found.pop("", [])
    wrong = {each: found[each] for each in found if not licences.is_allowed(each)}
    for licence, packages in wrong.items():
        terminal.failed_part("licence", f"{licence}: {', '.join(packages)}")
    text = ", ".join(f"{each} ({len(found[each])})" for each in found)
    terminal.done("licences", text)
    if absent:
        terminal.warning(
            "licences",
            f"not installed on this platform, so not read: {', '.join(absent)}",
        )
    return sum(map(len, wrong.values()))


def audit_secrets(machine: Machine) -> int:
    """Search every commit for secrets; return how many there are."""
    try:
        found = [*secrets.in_history(machine.root)]
    except NO_ANSWER as error:
        terminal.warning("secrets", f"NOT SEARCHED: {_reason(error)}")
        return 0
    for each in found[:MOST]:
        terminal.failed_part("secret", each)
    if not found:
        terminal.done("secrets", f"none of {len(secrets.KINDS)} kinds in any commit")
    return len(found)


def audit_advisories(machine: Machine) -> int:
    """Ask what is known to be vulnerable; return how much is."""
    findings = 0
    for each in LOCKS:
        try:
            asked = advisories.ask(machine.root, each)
        except NO_ANSWER as error:
            terminal.warning("advisories", f"{each}: NOT CHECKED: {_reason(error)}")
            continue
        for finding in asked.findings:
            terminal.failed_part("advisory", finding)
        findings += len(asked.findings)
        say = terminal.warning if asked.unchecked else terminal.done
        text = f"{each}: {len(asked.checked)} checked, {len(asked.findings)} known to be vulnerable"
        missing = (
            f", {len(asked.unchecked)} NOT CHECKED: nobody answered"
            if asked.unchecked
            else ""
        )
        say("advisories", text + missing)
    terminal.warning(
        "advisories", "Go modules of daprd: NOT CHECKED (see Dapr's own releases)"
    )
    return findings


def write_bills(machine: Machine) -> int:
    """Write the bills of materials; return 0, for they find nothing."""
    folder = machine.root / BILLS
    folder.mkdir(parents=True, exist_ok=True)
    try:
        number = bill.of_python(machine.root, folder)
        terminal.done("bill", f"{BILLS}/{bill.PYTHON}: {number} packages")
    except NO_ANSWER as error:
        terminal.warning("bill", f"of Python: NOT WRITTEN: {_reason(error)}")
    go = find(machine, "go")
    for program in (SIDECAR, CLI):
        built = build.place(machine, program)
        if go is None or not built.exists():
            terminal.warning(
                "bill",
                f"of {program.name}: NOT WRITTEN: it was not built here, or there is no Go",
            )
            continue
        number = bill.of_go(Path(go), built, folder)
        terminal.done("bill", f"{BILLS}/{program.name}.cdx.json: {number} modules")
    return 0


def _reason(error: Exception) -> str:
    if isinstance(error, CalledProcessError):
        last = str(error.stderr or "").strip().splitlines()
        return last[-1][:200] if last else f"exit status {error.returncode}"
    return f"{error}"[:200]


PARTS = {
    "licences": audit_licences,
    "secrets": audit_secrets,
    "advisories": audit_advisories,
    "bills": write_bills,
}


def main(parts: Sequence[str]) -> int:
    """Audit these parts, or all; return the exit status."""
    if wrong := set(parts) - PARTS.keys():
        sys.stderr.write(
            f"There is no {', '.join(sorted(wrong))}: {', '.join(PARTS)}\n"
        )
        return 2
    machine = this_machine()
    found = [PARTS[each](machine) for each in parts or PARTS]
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
