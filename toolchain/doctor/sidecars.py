"""What the sidecars of a project say of themselves, and the version of daprd that is installed."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from chassis.flaws import numbers
from toolchain import runfile
from toolchain.dapr import programs
from toolchain.dapr.programs import SIDECAR
from toolchain.doctor.project import App, Project, Sidecar
from toolchain.doctor.yaml_files import Document
from toolchain.machine import Machine
from toolchain.machine.http import get


def with_sidecars(project: Project) -> Project:
    """Return a project with what its sidecars on this machine answer: all are asked at once."""
    places = [
        (app, run_file.document, port)
        for run_file in project.run_files
        for app in run_file.apps
        if (port := app.number("daprHTTPPort"))
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(partial(_ask, project), places))
    found = [
        Sidecar(app, document, metadata, status)
        for (app, document, _), (status, metadata) in zip(places, answers, strict=True)
    ]
    return replace(project, sidecars=found)


def _ask(
    project: Project, place: tuple[App, Document, int]
) -> tuple[int, Mapping[str, Any] | None]:
    app, _, port = place
    system = runfile.System({}, runfile.state_of(project.offset, project.root))
    token = system.variables(app.id).get("DAPR_API_TOKEN")
    status, body = get(
        f"http://127.0.0.1:{port}/v1.0/metadata",
        {"dapr-api-token": token} if token else {},
    )
    with suppress(ValueError):
        if status == 200 and isinstance(metadata := json.loads(body), dict):
            return status, metadata
    return status, None


def version(project: Project, machine: Machine) -> str | None:
    """Return the version of daprd: of the sidecars that run, or else of the one that is installed."""
    running = [
        str((each.metadata or {}).get("runtimeVersion") or "")
        for each in project.sidecars
    ]
    for each in (*running, *_installed(machine)):
        with suppress(ValueError):
            numbers(each)
            return each
    return None


def _installed(machine: Machine) -> Iterator[str]:
    # Never the one that a run file's runtimePath names: what is examined may be anybody's.
    own = machine.programs / "daprd"
    for candidate in (own, *programs.candidates(machine, SIDECAR)):
        if candidate.exists():
            yield programs.version_of(candidate) or ""
