"""All rules, and what they find in a project."""

from collections.abc import Iterable

from toolchain.doctor.finding import Finding, Rule, Severity
from toolchain.doctor.project import Project
from toolchain.doctor.rules import (
    brokers,
    components,
    configuration,
    files,
    resiliency,
    run_files,
    running,
    scopes,
    secrets,
    subscriptions,
)

GROUPS = {
    "Files": files.RULES,
    "Components": components.RULES,
    "Secrets, variables and tokens": secrets.RULES,
    "Scopes": scopes.RULES,
    "Brokers": brokers.RULES,
    "Subscriptions": subscriptions.RULES,
    "Resiliency": resiliency.RULES,
    "Configuration and daprd": configuration.RULES,
    "Run files": run_files.RULES,
    "What runs": running.RULES,
}
RULES: list[Rule] = [rule for group in GROUPS.values() for rule in group]


def findings(project: Project, rules: Iterable[Rule] = RULES) -> list[Finding]:
    """Return all that is wrong, the worst first; each problem once, however many apps load its file."""
    found = {}
    for rule in rules:
        for problem in rule.check(project):
            file = _shown(project, problem.file)
            found[rule.id, problem] = Finding(rule, problem, file)
    return sorted(found.values(), key=_order)


def _order(finding: Finding) -> tuple[int, str, int]:
    return -finding.rule.severity, finding.file, finding.problem.line


def _shown(project: Project, file: object) -> str:
    text = str(file)
    root = str(project.root)
    return text.removeprefix(f"{root}/") if text != root else "."


def fatal(project: Project) -> list[Finding]:
    """Return what is fatal."""
    return findings(
        project, [each for each in RULES if each.severity is Severity.FATAL]
    )
