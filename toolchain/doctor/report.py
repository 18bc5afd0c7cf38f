"""What was found, for people, for programs, and for code scanners (SARIF 2.1.0)."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from chassis.text import escaped
from toolchain.doctor.finding import Finding, Rule, Severity
from toolchain.doctor.project import Project
from toolchain.machine import terminal

LEVELS = {
    Severity.FATAL: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
}
MARKS = {
    Severity.FATAL: "failed",
    Severity.ERROR: "failed",
    Severity.WARNING: "warning",
    Severity.INFO: "busy",
}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
WIDTH = 96


def on_terminal(project: Project, found: Sequence[Finding]) -> str:
    """Return the findings as text: each rule once, with its places, why it matters and what to do."""
    lines = [_head(project), ""]
    by_rule: dict[str, list[Finding]] = {}
    for each in found:
        by_rule.setdefault(each.rule.id, []).append(each)
    for group in by_rule.values():
        lines += [*_group(group), ""]
    return "\n".join([*lines, _summary(found)])


def _head(project: Project) -> str:
    files = {file.path for part in project.resources for file in part.files}
    files |= {each.document.file for each in project.run_files}
    running = [each.app.id for each in project.sidecars if each.metadata is not None]
    parts = [
        _counted(len(files), "file"),
        f"daprd {project.daprd}" if project.daprd else "no daprd found",
    ]
    if project.sidecars:
        parts.append(
            f"running: {', '.join(running)}" if running else "no sidecar of it runs"
        )
    return f"  {project.root}\n  {terminal.dimmed('; '.join(parts))}"


def _group(group: Sequence[Finding]) -> Iterator[str]:
    rule = group[0].rule
    mark = terminal.marked(MARKS[rule.severity], f"{rule.severity.word:<7}")
    yield f"  {mark}  {terminal.strong(rule.title)}  {terminal.dimmed(rule.id)}"
    for each in group:
        yield from _place(each)
    yield from (terminal.dimmed(line) for line in _wrapped(rule.why, 11))
    yield from _wrapped(f"→ {rule.remedy}", 11)


def _place(finding: Finding) -> list[str]:
    # A place is one word, so that terminals and editors can follow it.
    place = finding.place if finding.problem.line or finding.file != "." else ""
    # Whoever's project it is: a name in it moves no cursor.
    place = escaped(place)
    message = escaped(finding.problem.message.replace("\n", " "))
    line = f"           {place}  {message}"
    if place and len(line) <= WIDTH:
        return [line]
    return [*([f"           {place}"] if place else []), *_wrapped(message, 13)]


def _wrapped(text: str, indent: int) -> list[str]:
    space = " " * indent
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(found: Sequence[Finding]) -> str:
    if not found:
        return f"  {terminal.marked('done', 'Nothing is wrong.')}"
    counts = Counter(each.rule.severity for each in found)
    told = ", ".join(
        _counted(counts[each], each.word) for each in sorted(counts, reverse=True)
    )
    return f"  {told}. Each rule is described in docs/doctor.md, under its name."


def _counted(number: int, word: str) -> str:
    plural = {"info": "notes", "fatal": "fatal"}.get(word, f"{word}s")
    one = {"info": "note"}.get(word, word)
    return f"{number} {one if number == 1 else plural}"


def as_json(project: Project, found: Iterable[Finding]) -> str:
    """Return the findings as JSON."""
    content = {
        "root": str(project.root),
        "daprd": project.daprd,
        "findings": [
            {
                "rule": each.rule.id,
                "severity": each.rule.severity.word,
                "file": each.file,
                "line": each.problem.line,
                "field": each.problem.field,
                "message": each.problem.message,
                "why": each.rule.why,
                "remedy": each.rule.remedy,
                "page": each.rule.page,
            }
            for each in found
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_sarif(found: Iterable[Finding], rules: Iterable[Rule]) -> str:
    """Return the findings in the form that code scanners read, SARIF 2.1.0."""
    tool = {"driver": {"name": "doctor", "rules": [_described(each) for each in rules]}}
    run = {
        "tool": tool,
        "columnKind": "unicodeCodePoints",
        "results": [_result(each) for each in found],
    }
    return json.dumps(
        {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]},
        indent=2,
        ensure_ascii=False,
    )


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.remedy} See {rule.page}."},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"severity": rule.severity.word},
    }


def _result(finding: Finding) -> dict[str, Any]:
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(finding.file), "uriBaseId": "%SRCROOT%"}
    }
    if finding.problem.line:
        place["region"] = {"startLine": finding.problem.line}
    return {
        "ruleId": finding.rule.id,
        "level": LEVELS[finding.rule.severity],
        "message": {"text": f"{finding.problem.message}. {finding.rule.remedy}"},
        "locations": [{"physicalLocation": place}],
    }
