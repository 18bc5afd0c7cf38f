"""The page of the rules, docs/doctor.md: made of the rules themselves by `make docs`."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from toolchain.doctor.examples import Example, all_examples
from toolchain.doctor.finding import Rule
from toolchain.doctor.rules.all import GROUPS, RULES

INTRODUCTION = f"""\
# Doctor

<!-- Made by `make docs` from toolchain/doctor; a change here would be lost. -->

Doctor reads the YAML of a Dapr project as its sidecars would, and reports what they die of, pass over without a
word, or will lose messages by: {len(RULES)} rules, each with the reason and the remedy.

```sh
make doctor                                  # this project, as OFFSET, BROKER and MAIL choose it, and what runs
.venv/bin/python -m toolchain.doctor FOLDER  # any Dapr project
```

It changes nothing, starts nothing of the project, and asks only servers on this machine: each sidecar's
`/v1.0/metadata`, where one runs. `make run` looks for what is fatal before it starts anything, and whenever a
YAML is saved while it runs.

| severity | meaning | exit status |
| --- | --- | --- |
| fatal | a sidecar dies of it or goes on without the file, the CLI refuses it, or nothing is ever delivered | 1 |
| error | something does not work, or loses data | 1 |
| warning | it works, and will hurt some day | 0 |
| info | worth knowing | 0 |

The exit status is 2 where it could not run. `--json` prints the findings for programs, `--sarif` for code scanners
(SARIF 2.1.0), and `--daprd 1.18.5` judges for another version than the one that is installed here. The settings of
components are held against the metadata of Dapr's own components (components-contrib, Apache-2.0), in
`toolchain/doctor/metadata`. A rule reports what it is sure of: a value that the environment, a secret store or a
deployment fills in later is not judged.
"""


def text() -> str:
    """Return the page; the same rules make the same one."""
    parts = [INTRODUCTION]
    for title, rules in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_described(rule, all_examples()) for rule in rules]
    return "\n".join(parts)


def _described(rule: Rule, examples: Mapping[str, Example]) -> str:
    lines = [
        f"### {rule.id}\n",
        f"**{rule.title}** ({rule.severity.word}). {rule.why}\n",
        f"*Remedy:* {rule.remedy}\n",
    ]
    if rule.id in examples:
        example = examples[rule.id]
        lines += [
            *_shown("Bad", example.bad, example),
            *_shown("Good", example.good, example),
        ]
    return "\n".join(lines)


def _shown(word: str, files: Mapping[str, str], example: Example) -> Iterator[str]:
    of = f", of a {example.of}" if example.of and example.of != "run file" else ""
    for name, content in files.items():
        where = f" (`{PurePath(name).name}`)" if len(files) > 1 else ""
        yield f"{word}{of}{where}:\n\n```yaml\n{content}```\n"
