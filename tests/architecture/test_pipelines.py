"""The pipelines run the Makefile's verbs and nothing else, the same ones on GitHub and on Azure DevOps."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.dapr import golang
from toolchain.machine import this_machine

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
AZURE = ROOT / "azure-pipelines.yml"
PREPARE = ROOT / ".azure" / "prepare.yml"
ONCE: list[dict[str, str]] = [{}]
BELONGS_TO_ITS_RUN = {"SEED", "TAG", "GH_TOKEN"}
"""What each of the two calls by its own name: the number of the run, the tag, the right to publish."""

Run = tuple[str, frozenset[tuple[str, str]]]


def on_github() -> Iterator[Run]:
    """Yield each command with its variables, once for each entry of its job's matrix."""
    for workflow in WORKFLOWS:
        for job in yaml.safe_load(workflow.read_text())["jobs"].values():
            for entry in github_matrix(job):
                for step in job["steps"]:
                    if "run" in step:
                        yield expanded(step["run"], step.get("env", {}), entry)


def github_matrix(job: dict[str, Any]) -> list[dict[str, str]]:
    """Return what a job is run with: each verb once, and what is included."""
    matrix = job.get("strategy", {}).get("matrix")
    if matrix is None:
        return ONCE
    broker = {"broker": "".join(matrix.get("broker", []))}
    each_verb = [{"verb": each, **broker} for each in matrix["verb"]]
    return [*each_verb, *matrix.get("include", [])]


def on_azure() -> Iterator[Run]:
    """Yield each command with its variables, once for each entry of its job's matrix."""
    for stage in yaml.safe_load(AZURE.read_text())["stages"]:
        for job in stage["jobs"]:
            matrix = job.get("strategy", {}).get("matrix", {})
            for entry in matrix.values() or ONCE:
                for step in job["steps"]:
                    if "script" in step:
                        yield expanded(step["script"], step.get("env", {}), entry)


def expanded(command: str, environment: dict[str, str], entry: dict[str, str]) -> Run:
    """Return the command as it is run, and the variables that decide what it does."""
    for name, value in entry.items():
        known = (f"${{{{ matrix.{name} }}}}", f"$({name})")
        environment = {
            each: value if given in known else given
            for each, given in environment.items()
        }
    command = command.replace('"$VERB"', environment.get("VERB", ""))
    kept = environment.items()
    return command, frozenset(
        each for each in kept if each[0] not in BELONGS_TO_ITS_RUN
    )


@pytest.mark.parametrize("pipeline", [on_github, on_azure])
def test_what_is_run_is_a_verb_of_the_makefile(
    pipeline: Callable[[], Iterator[Run]],
) -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))

    run = {command for command, _ in pipeline()}

    wanted = {"check", "test", "audit", "images", "release"}
    assert {f"make {verb}" for verb in wanted} <= run
    assert run <= {f"make {verb}" for verb in verbs}


def test_both_pipelines_run_the_same_with_the_same_settings() -> None:
    github, azure = set(on_github()), set(on_azure())

    # On Azure DevOps a release is what the run keeps.
    assert github - azure == {("make publish", frozenset())}
    assert azure <= github


def test_both_allow_a_run_the_same_time() -> None:
    github = [
        job["timeout-minutes"]
        for each in WORKFLOWS
        for job in yaml.safe_load(each.read_text())["jobs"].values()
    ]
    azure = [
        job["timeoutInMinutes"]
        for stage in yaml.safe_load(AZURE.read_text())["stages"]
        for job in stage["jobs"]
    ]

    assert sorted(github) == sorted(azure)


def test_nothing_that_is_run_on_azure_gets_the_credentials_of_the_clone() -> None:
    checkout, *others = yaml.safe_load(PREPARE.read_text())["steps"]
    jobs = [
        job
        for stage in yaml.safe_load(AZURE.read_text())["stages"]
        for job in stage["jobs"]
    ]

    assert checkout["persistCredentials"] is False
    assert all(job["steps"][0] == {"template": ".azure/prepare.yml"} for job in jobs)
    assert not any("checkout" in each for each in others)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: str(path.name))
def test_an_action_is_named_by_its_commit(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text())

    assert used
    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", action) for action in used)


def test_actionlint_finds_nothing_in_the_workflows() -> None:
    go = golang.provide(this_machine())
    sources = ROOT / "toolchain" / "audit" / "actionlint"
    # Others' programs, where they are installed, would find other things on each machine.
    options = ("-no-color", "-shellcheck=", "-pyflakes=")

    found = subprocess.run(
        [go.command, "-C", sources, "tool", "actionlint", *options, *WORKFLOWS],
        env={**this_machine().environment, **go.variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.returncode, found.stdout) == (0, ""), found.stderr


def test_zizmor_finds_nothing_in_the_workflows() -> None:
    options = ("--offline", "--quiet", "--no-progress", "--persona=pedantic")

    found = subprocess.run(
        [ROOT / ".venv" / "bin" / "zizmor", *options, *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout + found.stderr
