"""A Dapr project as the rules see it: run files, the resources that sidecars load together, and what runs."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from toolchain.doctor import yaml_files
from toolchain.doctor.yaml_files import Document, YamlFile

RESOURCE_FOLDERS = ("components", "resources")
"""How a folder of resources is named by custom: there a file of another kind is a mistake."""
PASSED_OVER = {
    "node_modules",
    "venv",
    "bin",
    "obj",
    "target",
    "dist",
    "build",
    "vendor",
    "__pycache__",
}
LARGEST = 2 * 1024 * 1024
"""The bytes of a file beyond which it is no resource of anybody's, unless a run file names its folder."""
RESOURCE = re.compile(rb"""(?m)^[{"' ]{0,3}apiVersion["']?:\s*["']?dapr\.io/v""")
APP_ID = re.compile(r"(?:--app-id|dapr\.io/app-id)[\"']?[=:,\s]+[\"']?([\w.-]+)")


@dataclass(frozen=True)
class App:
    """An app of a run file: its id, its entry with what it takes from `common`, and its place in the file."""

    id: str
    settings: Mapping[str, Any]
    place: tuple[str, int]
    folder: Path

    def number(self, name: str) -> int | None:
        """Return a setting that is a whole number."""
        value = str(self.settings.get(name, ""))
        return int(value) if value.isdecimal() else None


@dataclass(frozen=True)
class RunFile:
    """A run file (`dapr run -f`), and its apps."""

    document: Document
    apps: Sequence[App]

    @property
    def folder(self) -> Path:
        """Return the folder that its paths begin at."""
        return self.document.file.parent


@dataclass(frozen=True)
class Resources:
    """What sidecars load together: the files of some folders.

    `apps` are the ids of those that load them, where a run file says so.
    """

    folders: Sequence[Path]
    files: Sequence[YamlFile]
    apps: Sequence[str] = ()
    is_declared: bool = False

    @property
    def is_judged(self) -> bool:
        """Return whether its files are surely loaded together: by a run file, or by the folder's name."""
        return self.is_declared or any(
            each.name in RESOURCE_FOLDERS for each in self.folders
        )

    @property
    def documents(self) -> list[Document]:
        """Return the documents of all files."""
        return [document for file in self.files for document in file.documents]

    def of_kind(self, kind: str) -> list[Document]:
        """Return Dapr's documents of a kind that have a name."""
        return [
            each
            for each in self.documents
            if each.kind == kind and is_dapr(each) and each.name
        ]


@dataclass(frozen=True)
class Sidecar:
    """A sidecar that a run file describes, and what it says of itself; None where it does not answer."""

    app: App
    document: Document
    metadata: Mapping[str, Any] | None
    status: int = 200


@dataclass(frozen=True)
class Project:
    """Everything that is examined. What is not known is None, or empty: then the rules on it find nothing."""

    root: Path
    run_files: Sequence[RunFile] = ()
    resources: Sequence[Resources] = ()
    configurations: Sequence[Document] = ()
    tunings: Sequence[tuple[Path, Document]] = ()
    """What SUBSCRIPTION_FILE names, and the run file that does: the chassis of this project reads it."""
    app_ids: frozenset[str] = frozenset()
    environment: Mapping[str, str] | None = None
    daprd: str | None = None
    sidecars: Sequence[Sidecar] = ()
    offset: int = 0

    def of_kind(self, kind: str) -> list[Document]:
        """Return each document of a kind once."""
        found = {
            id(each): each for part in self.resources for each in part.of_kind(kind)
        }
        return list(found.values())

    @cached_property
    def components(self) -> list[Document]:
        """Return each component once."""
        return self.of_kind("Component")

    def names_beside(self, resources: Resources) -> set[str]:
        """Return the names of the components that may be loaded with these."""
        beside = (
            resources.of_kind("Component") if resources.is_declared else self.components
        )
        return {each.name for each in beside}

    def typed(self, resources: Resources) -> dict[str, Document]:
        """Return the components that may be loaded with these by their names."""
        beside = self.components if not resources.is_declared else []
        return {each.name: each for each in (*beside, *resources.of_kind("Component"))}


def is_dapr(document: Document) -> bool:
    """Return whether a document is one of Dapr's own resources."""
    return document.text("apiVersion").startswith("dapr.io/")


def settings(component: Document) -> dict[str, str | None]:
    """Return a component's settings by name: a text, or None where it comes from elsewhere."""
    named = [
        each for _, each in entries(component) if isinstance(each.get("name"), str)
    ]
    return {
        each["name"]: each["value"] if isinstance(each.get("value"), str) else None
        for each in named
    }


def only_publishes(component: Document, beside: Iterable[Document]) -> bool:
    """Return whether a component is another way out beside a first: `pubsub-2` beside `pubsub` of its type."""
    stem = component.name.rstrip("0123456789").rstrip("-")
    kind = component.text("spec", "type")
    return stem != component.name and any(
        each.name == stem and each.text("spec", "type") == kind for each in beside
    )


def entries(component: Document) -> list[tuple[int, dict[str, Any]]]:
    """Return a component's settings as they stand, with their numbers in the list."""
    listed = component.items("spec", "metadata")
    return [
        (number, each) for number, each in enumerate(listed) if isinstance(each, dict)
    ]


def place_of(component: Document, name: str) -> tuple[str | int, ...]:
    """Return where a component's setting stands; the whole list where it is left out."""
    for number, item in entries(component):
        if str(item.get("name")).lower() == name.lower():
            return ("spec", "metadata", number, "value" if "value" in item else "name")
    return ("spec", "metadata")


def read_folder(root: Path, environment: Mapping[str, str] | None = None) -> Project:
    """Return the project in a folder: its run files, and every resource of Dapr's wherever it lies."""
    paths = list(_yaml_files(root))
    run_files = [each for path in paths if (each := read_run_file(path))]
    declared = [part for each in run_files for part in resources_of(each)]
    folders = {folder.resolve() for part in declared for folder in part.folders}
    others = _undeclared(
        [path for path in paths if path.parent.resolve() not in folders]
    )
    every = [*declared, *others]
    return Project(
        root,
        run_files,
        every,
        configurations_of(run_files, every),
        [each for run_file in run_files for each in tunings_of(run_file)],
        frozenset(_app_ids(paths, run_files)),
        environment,
    )


def read_run_file(path: Path) -> RunFile | None:
    """Return a file as a run file; None where it is none."""
    if not _may_be(path, b"apps"):
        return None
    for document in yaml_files.read(path).documents:
        entries = document.items("apps")
        if (
            entries
            and "kind" not in document.data
            and all(_is_app(each) for each in entries)
        ):
            return run_file_of(document)
    return None


def run_file_of(document: Document) -> RunFile:
    """Return a document as a run file."""
    common = document.mapping("common")
    apps = []
    for number, entry in enumerate(document.items("apps")):
        folder = document.file.parent / str(entry.get("appDirPath") or ".")
        env = {**_mapping(common.get("env")), **_mapping(entry.get("env"))}
        merged = {**common, **entry, "env": env}
        app_id = str(entry.get("appID") or folder.resolve().name)
        apps.append(App(app_id, merged, ("apps", number), folder))
    return RunFile(document, apps)


def _mapping(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a YAML may hold
    return value if isinstance(value, dict) else {}


def _is_app(entry: Any) -> bool:  # noqa: ANN401 - as above
    return isinstance(entry, dict) and bool(
        entry.keys() & {"appDirPath", "appID", "appPort"}
    )


def resources_of(run_file: RunFile) -> list[Resources]:
    """Return what the apps of a run file load: apps with the same folders load the same."""
    apps: dict[tuple[Path, ...], list[str]] = {}
    for app in run_file.apps:
        apps.setdefault(tuple(_folders(run_file, app)), []).append(app.id)
    read: dict[Path, YamlFile] = {}
    found = []
    for folders, ids in apps.items():
        paths = [path for folder in folders for path in resource_files(folder)]
        files = [read.setdefault(path, yaml_files.read(path)) for path in paths]
        found.append(Resources(folders, files, ids, is_declared=True))
    return [each for each in found if each.folders]


def _folders(run_file: RunFile, app: App) -> list[Path]:
    # As the CLI looks: the app's own, then .dapr/resources beside it, then the common ones.
    entry, common = (
        run_file.document.mapping(*app.place),
        run_file.document.mapping("common"),
    )
    own = _paths(entry, app.folder)
    beside = app.folder / ".dapr" / "resources"
    return own or ([beside] if beside.is_dir() else _paths(common, run_file.folder))


def _paths(settings: Mapping[str, Any], start: Path) -> list[Path]:
    listed = settings.get("resourcesPaths")
    names = [
        *(listed if isinstance(listed, list) else ()),
        settings.get("resourcesPath"),
    ]
    return [
        Path(os.path.normpath(start / each))
        for each in names
        if isinstance(each, str) and each
    ]


def resource_files(folder: Path) -> list[Path]:
    """Return the files of a folder that a sidecar reads, and takes for one: links and folders too."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [each for each in inside if each.suffix.lower() in (".yaml", ".yml")]


def configurations_of(
    run_files: Iterable[RunFile], every: Iterable[Resources]
) -> list[Document]:
    """Return each Configuration once: those that run files name, and those that lie elsewhere."""
    named = {
        path
        for run_file in run_files
        for app in run_file.apps
        if (path := _configuration(run_file, app))
    }
    found = [
        each
        for path in sorted(named)
        if path.is_file()
        for each in yaml_files.read(path).documents
    ]
    seen = {path.resolve() for path in named}
    others = [each for part in every for each in part.of_kind("Configuration")]
    return found + [each for each in others if each.file.resolve() not in seen]


def _configuration(run_file: RunFile, app: App) -> Path | None:
    own = run_file.document.text(*app.place, "configFilePath")
    common = run_file.document.text("common", "configFilePath")
    return app.folder / own if own else run_file.folder / common if common else None


def tunings_of(run_file: RunFile) -> list[tuple[Path, Document]]:
    """Return the tunings of subscriptions that a run file's apps are given."""
    named = {
        str(app.settings["env"].get("SUBSCRIPTION_FILE") or "") for app in run_file.apps
    }
    return [
        (run_file.folder / name, run_file.document) for name in sorted(named - {""})
    ]


def _yaml_files(root: Path) -> Iterator[Path]:
    for folder, inside, names in os.walk(root):
        inside[:] = sorted(
            each
            for each in inside
            if each not in PASSED_OVER and (each == ".dapr" or not each.startswith("."))
        )
        for name in sorted(names):
            if name.lower().endswith((".yaml", ".yml")):
                yield Path(folder) / name


def _may_be(path: Path, word: bytes) -> bool:
    with suppress(OSError):
        return path.stat().st_size <= LARGEST and word in path.read_bytes()
    return False


def _undeclared(paths: Iterable[Path]) -> Iterator[Resources]:
    """Yield the folders that no run file names, but that hold resources of Dapr's."""
    by_folder: dict[Path, list[Path]] = {}
    for path in paths:
        by_folder.setdefault(path.parent, []).append(path)
    for folder, inside in by_folder.items():
        ours = [
            path
            for path in inside
            if _may_be(path, b"dapr.io/v") and RESOURCE.search(path.read_bytes())
        ]
        is_named = folder.name in RESOURCE_FOLDERS
        judged = (
            [path for path in inside if path.stem != "kustomization"]
            if is_named
            else ours
        )
        files = [yaml_files.read(path) for path in (judged if ours else ())]
        files = [
            each if is_named else _of_dapr(each)
            for each in files
            if not _is_template(each)
        ]
        if files:
            yield Resources((folder,), files)


def _of_dapr(file: YamlFile) -> YamlFile:
    # Among the files of a deployment, what is not Dapr's is no mistake.
    return replace(file, documents=[each for each in file.documents if is_dapr(each)])


def _is_template(file: YamlFile) -> bool:
    # Helm's templates are YAML only once they are filled in.
    return bool(
        file.fault and file.fault[0] == "yaml_malformed" and _may_be(file.path, b"{{")
    )


def _app_ids(paths: Iterable[Path], run_files: Iterable[RunFile]) -> Iterator[str]:
    for run_file in run_files:
        yield from (app.id for app in run_file.apps)
    for path in paths:
        if _may_be(path, b"app-id"):
            yield from APP_ID.findall(path.read_text(errors="replace"))
