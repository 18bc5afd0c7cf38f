"""What the two programs have in common: their options, what they print, and how they end."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from toolchain.doctor import report, sidecars
from toolchain.doctor.finding import Finding, Severity
from toolchain.doctor.project import Project
from toolchain.doctor.rules.all import RULES, findings
from toolchain.machine import Machine

CLEAN, FOUND, COULD_NOT_RUN = 0, 1, 2


def options(description: str | None) -> argparse.ArgumentParser:
    """Return the options that choose what is printed."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Exit status: 0 if nothing is worse than a warning, 1 if something is, 2 if it could not run.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the findings as JSON")
    form.add_argument(
        "--sarif",
        action="store_true",
        help="print them as SARIF 2.1.0, for code scanners",
    )
    return parser


def examine(project: Project, machine: Machine, chosen: argparse.Namespace) -> int:
    """Print what is wrong with a project, and return the exit status."""
    project = sidecars.with_sidecars(project)
    version = getattr(chosen, "daprd", None) or sidecars.version(project, machine)
    project = replace(project, daprd=version)
    found = findings(project)
    if chosen.json:
        print(report.as_json(project, found))
    elif chosen.sarif:
        print(report.as_sarif(found, RULES))
    else:
        print(report.on_terminal(project, found))
    return status(found)


def status(found: Sequence[Finding]) -> int:
    """Return the exit status for what was found."""
    worst = max((each.rule.severity for each in found), default=Severity.INFO)
    return FOUND if worst > Severity.WARNING else CLEAN
