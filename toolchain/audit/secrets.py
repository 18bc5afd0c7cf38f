"""Secrets in the history of this project: what was ever committed stays readable, whatever was deleted since."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

KINDS = {
    "private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{20,}",
    "Google key": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "package index token": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "signed token": r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{15,}",
    # Passwords of this machine's own test servers are words.
    "password in a URL": r"\b[a-z+]{3,20}://[^\s:/@'\"]+:(?=[^\s/@'\"]*\d)[A-Za-z0-9+_=-]{16,}@",
}
_ANY = re.compile(
    "|".join(f"(?P<k{n}>{each})" for n, each in enumerate(KINDS.values()))
)
_NAMES = [*KINDS]


def in_history(root: Path) -> Iterator[str]:
    """Yield where a secret was committed, and its kind, not the secret; raises where there is no history."""
    command = [
        "git",
        "log",
        "--all",
        "--patch",
        "--unified=0",
        "--no-color",
        "--format=commit %h",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdout=pipe, stderr=pipe) as log:
        assert log.stdout  # noqa: S101 - it is a pipe
        lines = (each.decode(errors="replace") for each in log.stdout)
        yield from in_patches(lines)
        _, said = log.communicate()
    if log.returncode:
        raise subprocess.CalledProcessError(
            log.returncode, "git log", stderr=said.decode()
        )


def in_patches(lines: Iterable[str]) -> Iterator[str]:
    """Yield the same of git's patches."""
    commit = file = ""
    for line in lines:
        if line.startswith("commit "):
            commit = line.split()[1]
        elif line.startswith("+++ "):
            file = line.strip().removeprefix("+++ b/")
        elif line.startswith("+") and (match := _ANY.search(line)):
            yield f"{commit} {file}: {_kind(match)}"


def _kind(match: re.Match[str]) -> str:
    return _NAMES[int((match.lastgroup or "k0")[1:])]
