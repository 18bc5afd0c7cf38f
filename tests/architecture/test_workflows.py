"""What runs on GitHub: the Makefile's verbs and nothing else, with actions that nobody can change."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    """Return every step of every job."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: str(path.name))
def test_what_is_run_is_a_verb_of_the_makefile(workflow: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = {
        f"make {verb}" for verb in re.findall(r"^([a-z]+):", makefile, re.MULTILINE)
    }

    run = {step["run"] for step in steps(workflow) if "run" in step}

    assert run
    assert run <= verbs


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: str(path.name))
def test_an_action_is_named_by_its_commit(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]

    assert used
    assert all(re.search(r"@[0-9a-f]{40}$", action) for action in used)
