"""This project's own system under the rules: before it starts, and while it runs."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolchain import runfile
from toolchain.doctor import project, yaml_files
from toolchain.doctor.project import Project, Resources, RunFile
from toolchain.doctor.rules.all import fatal
from toolchain.doctor.yaml_files import Document, YamlFile
from toolchain.machine import terminal
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import System

EFFECT = "The sidecars read it already: they go on without it, or die of it until it is mended."
OPTIONAL = ("SMTP_FROM", "SMTP_USER", "SMTP_PASSWORD", "MAIL_API_AUTHORIZATION")
"""Variables that components/mail may do without."""


def check(system: System, environment: Mapping[str, str]) -> None:
    """Raise Failure with all that the system would not start with."""
    if wrong := sentences(system, environment):
        raise Failure(
            "The system is not started, as its YAML is wrong",
            "\n".join(wrong),
            "Correct that, then run it again; `make doctor` has more about it.",
            EX_CONFIG,
        )


def sentences(system: System, environment: Mapping[str, str]) -> list[str]:
    """Return each fatal finding as a sentence with file, field and remedy."""
    return [each.sentence for each in fatal(read(system, environment))]


@dataclass
class Watch:
    """A look, again and again, at the YAML of a system that runs: what is saved there is loaded at once."""

    system: System
    environment: Mapping[str, str]
    seen: list[tuple[Path, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Print what has become wrong since the last look, and that all is right again."""
        seen = []
        for each in _paths(self.system):
            with suppress(OSError):  # it was removed meanwhile
                seen.append((each, each.lstat().st_mtime_ns))
        if seen == self.seen:
            return
        self.seen, before = seen, self.wrong
        self.wrong = sentences(self.system, self.environment)
        for sentence in self.wrong:
            if sentence not in before:
                terminal.warning("YAML", f"{sentence}\n{EFFECT}")
        if before and not self.wrong:
            terminal.done("YAML", "all of it is right again")


def read(system: System, environment: Mapping[str, str]) -> Project:
    """Return the system as a project: what its sidecars load, whichever broker and ports were chosen."""
    run_file = run_file_of(system)
    ids = [app.id for app in run_file.apps]
    files = [yaml_files.read(path) for path in _paths(system)]
    resources = Resources(_folders(system), files, ids, is_declared=True)
    return Project(
        runfile.ROOT,
        [run_file],
        [resources],
        _configurations(files, _configuration(system)),
        [*project.tunings_of(run_file)],
        frozenset(ids),
        {**dict.fromkeys(OPTIONAL, ""), **environment},
        offset=system.offset,
    )


def run_file_of(system: System) -> RunFile:
    """Return dapr.yaml with what was chosen, such as other ports; its lines are the file's own."""
    file = runfile.ROOT / "dapr.yaml"
    (document, *_) = yaml_files.read(file).documents
    chosen = yaml_files.texts(system.document)
    return project.run_file_of(Document(file, chosen, document.lines))


def _configurations(files: list[YamlFile], path: Path) -> list[Document]:
    return [
        document for file in files if file.path == path for document in file.documents
    ]


def _configuration(system: System) -> Path:
    return runfile.ROOT / str(system.document["common"]["configFilePath"])


def _folders(system: System) -> list[Path]:
    return [runfile.ROOT / path for path in system.document["common"]["resourcesPaths"]]


def _paths(system: System) -> list[Path]:
    """Return the files that the sidecars read, and take for one; a folder that is gone counts as one."""
    found = [_configuration(system)]
    for folder in _folders(system):
        found += (
            project.resource_files(folder) if folder.is_dir() else [folder / "*.yaml"]
        )
    return found
