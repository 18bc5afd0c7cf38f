"""Rules on run files (`dapr run -f`): what the CLI refuses, ignores, or runs into."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from toolchain.doctor.finding import Problem, Rule, Severity
from toolchain.doctor.project import App, Project, RunFile, place_of, settings

TOP = {"apps", "common", "name", "version"}
# fmt: off
SHARED = {
    "apiListenAddresses", "appHealthCheckPath", "appHealthProbeInterval", "appHealthProbeTimeout",
    "appHealthThreshold", "appLogDestination", "appMaxConcurrency", "appProtocol", "appSSL", "configFilePath",
    "daprdLogDestination", "enableApiLogging", "enableAppHealthCheck", "enableProfiling", "env", "logLevel",
    "maxBodySize", "placementHostAddress", "readBufferSize", "resourcesPath", "resourcesPaths", "runtimePath",
    "schedulerHostAddress",
}
OWN = {
    "appDirPath", "appChannelAddress", "appID", "appPort", "command", "daprGRPCPort", "daprHTTPPort",
    "daprInternalGRPCPort", "metricsPort", "profilePort", "unixDomainSocket", "containerImage",
    "containerImagePullPolicy", "createService",
}
# fmt: on
"""The keys that the CLI reads (1.16: pkg/standalone/run.go, pkg/runfileconfig/run_file_config.go)."""
PORTS = (
    "appPort",
    "daprHTTPPort",
    "daprGRPCPort",
    "daprInternalGRPCPort",
    "metricsPort",
    "profilePort",
)
HEALTH = (
    "appHealthCheckPath",
    "appHealthProbeInterval",
    "appHealthProbeTimeout",
    "appHealthThreshold",
)
LOGS = ("console", "file", "fileAndConsole")


def run_file_version_missing(project: Project) -> Iterator[Problem]:
    """A run file without a version.

    The CLI refuses it: "required field 'version' not found".
    """
    for run_file in project.run_files:
        if not run_file.document.text("version").strip("0"):
            yield run_file.document.problem("has no `version: 1`", "version")


def run_file_key_unknown(project: Project) -> Iterator[Problem]:
    """A key of a run file that the CLI does not read.

    It is ignored without a word, and the default counts.
    """
    for run_file in project.run_files:
        yield from _strangers(run_file, (), TOP)
        yield from _strangers(run_file, ("common",), SHARED)
        for app in run_file.apps:
            yield from _strangers(run_file, app.place, SHARED | OWN)


def _strangers(
    run_file: RunFile, path: tuple[str | int, ...], known: set[str]
) -> Iterator[Problem]:
    for key in run_file.document.mapping(*path):
        # A key that begins with x- is by custom somebody else's.
        if key not in known and not key.startswith("x-"):
            near = get_close_matches(key, known, n=1, cutoff=0.8)
            meant = f": {near[0]} is meant?" if near else ""
            here = " in `common`" if path == ("common",) and key in OWN else ""
            yield run_file.document.problem(
                f"the CLI reads no `{key}`{here}{meant}", *path, key
            )


def run_file_path_missing(project: Project) -> Iterator[Problem]:
    """A path that does not exist.

    The CLI refuses the run file. Paths of `common` begin at the run file's folder, those of an app at its
    `appDirPath`.
    """
    for run_file in project.run_files:
        document = run_file.document
        yield from _absent(run_file, ("common",), run_file.folder)
        for app in run_file.apps:
            if not document.text(*app.place, "appDirPath"):
                yield document.problem(f"`{app.id}` has no `appDirPath`", *app.place)
            elif not app.folder.is_dir():
                yield document.problem(
                    f"`appDirPath: {app.settings['appDirPath']}` does not exist",
                    *app.place,
                    "appDirPath",
                )
            else:
                yield from _absent(run_file, app.place, app.folder)


def _absent(
    run_file: RunFile, place: tuple[str | int, ...], start: Path
) -> Iterator[Problem]:
    listed = [
        (*place, "resourcesPaths", n)
        for n, _ in enumerate(run_file.document.items(*place, "resourcesPaths"))
    ]
    for path in (*listed, (*place, "resourcesPath"), (*place, "configFilePath")):
        told = run_file.document.text(*path)
        if told and not (start / Path(told).expanduser()).exists():
            yield run_file.document.problem(f"`{told}` does not exist", *path)


def run_file_command_missing(project: Project) -> Iterator[Problem]:
    """An app without a command.

    The CLI starts the sidecar alone, and waits for an app on `appPort` that nobody starts.
    """
    for run_file in project.run_files:
        for app in run_file.apps:
            entry = run_file.document.mapping(*app.place)
            if (
                "command" not in entry
                and "containerImage" not in entry
                and "appPort" in entry
            ):
                yield run_file.document.problem(
                    f"`{app.id}` has an `appPort` and no `command`", *app.place
                )


def run_file_ports_collide(project: Project) -> Iterator[Problem]:
    """One port for two.

    The second that starts ends, as the address is in use.
    """
    for run_file in project.run_files:
        taken: dict[int, str] = {}
        for app in run_file.apps:
            for name in PORTS:
                entry = run_file.document.text(*app.place, name)
                if entry.isdecimal() and int(entry) > 0:
                    owner = f"`{name}` of `{app.id}`"
                    before = taken.setdefault(int(entry), owner)
                    if before != owner:
                        yield run_file.document.problem(
                            f"{entry} is {before} too", *app.place, name
                        )


def run_file_app_twice(project: Project) -> Iterator[Problem]:
    """Two apps of one id with ports of their own for the sidecar's callers.

    Calls to the id reach either of them, at random. Meant for replicas; a copied entry is the usual cause.
    """
    for run_file in project.run_files:
        first: dict[str, App] = {}
        for app in run_file.apps:
            if first.setdefault(app.id, app) is not app:
                yield run_file.document.problem(
                    f"`appID: {app.id}` is in the file twice", *app.place, "appID"
                )


def run_file_health_timeout(project: Project) -> Iterator[Problem]:
    """A health check that daprd refuses.

    The time-out (milliseconds, 500 unless set) may not be longer than the interval (seconds, 5 unless set): daprd
    ends at its start.
    """
    for run_file in project.run_files:
        for app in run_file.apps:
            interval = app.number("appHealthProbeInterval") or 5
            timeout = app.number("appHealthProbeTimeout") or 500
            if timeout > interval * 1000:
                message = f"`appHealthProbeTimeout` is {timeout} ms, longer than the interval of {interval} s"
                yield run_file.document.problem(
                    message, *_place(run_file, app, "appHealthProbeTimeout")
                )


def run_file_health_off(project: Project) -> Iterator[Problem]:
    """Settings of a health check that is off.

    Without `enableAppHealthCheck: true` all of them are ignored: deliveries go on to an app that is not well.
    """
    for run_file in project.run_files:
        for app in run_file.apps:
            told = [each for each in HEALTH if each in app.settings]
            if told and str(app.settings.get("enableAppHealthCheck")).lower() != "true":
                message = f"`{told[0]}` is ignored: `enableAppHealthCheck` is off for `{app.id}`"
                yield run_file.document.problem(
                    message, *_place(run_file, app, told[0])
                )


def run_file_log_destination(project: Project) -> Iterator[Problem]:
    """A place for logs that the CLI does not have.

    It refuses the run file.
    """
    for run_file in project.run_files:
        for app in run_file.apps:
            for name in ("appLogDestination", "daprdLogDestination"):
                value = app.settings.get(name)
                if value and value not in LOGS:
                    message = f"`{name}: {value}` is none of {', '.join(LOGS)}"
                    yield run_file.document.problem(
                        message, *_place(run_file, app, name)
                    )


def run_file_listens_everywhere(project: Project) -> Iterator[Problem]:
    """A sidecar whose API is open to the network.

    daprd listens on all addresses unless `apiListenAddresses` is set: whoever reaches the machine can publish,
    call apps and read secrets through it. With `DAPR_API_TOKEN` it asks for the token.
    """
    for run_file in project.run_files:
        for app in run_file.apps:
            if not app.settings.get("apiListenAddresses"):
                message = f"the sidecar of `{app.id}` listens on every address of this machine"
                yield run_file.document.problem(message, *app.place)


def run_file_actors_without_placement(project: Project) -> Iterator[Problem]:
    """A store for actors, and no placement service.

    An empty `placementHostAddress` turns actors and workflows off, whatever `actorStateStore` says.
    """
    off = {
        app.id
        for each in project.run_files
        for app in each.apps
        if _has_no_placement(app)
    }
    for part in project.resources:
        for component in part.of_kind("Component") if off & {*part.apps} else ():
            if str(settings(component).get("actorStateStore")).lower() == "true":
                message = f"actors are off for {', '.join(sorted(off))}: `placementHostAddress` is empty"
                yield component.problem(
                    message, *place_of(component, "actorStateStore")
                )


def _has_no_placement(app: App) -> bool:
    return not str(app.settings.get("placementHostAddress", "there")).strip()


def _place(run_file: RunFile, app: App, name: str) -> tuple[str | int, ...]:
    own = run_file.document.mapping(*app.place)
    return (*app.place, name) if name in own else ("common", name)


RULES = [
    Rule(run_file_version_missing, Severity.FATAL, "Add it at the top."),
    Rule(run_file_key_unknown, Severity.WARNING, "Correct the key, or remove it."),
    Rule(run_file_path_missing, Severity.FATAL, "Correct the path, or make it."),
    Rule(
        run_file_command_missing,
        Severity.WARNING,
        "Add the command, or start the app by hand.",
    ),
    Rule(run_file_ports_collide, Severity.FATAL, "Give each a port of its own."),
    Rule(run_file_app_twice, Severity.WARNING, "Rename one, unless they are replicas."),
    Rule(
        run_file_health_timeout,
        Severity.FATAL,
        "Make the time-out shorter, or the interval longer.",
    ),
    Rule(run_file_health_off, Severity.WARNING, "Add `enableAppHealthCheck: true`."),
    Rule(run_file_log_destination, Severity.FATAL, "Correct the word."),
    Rule(
        run_file_listens_everywhere,
        Severity.INFO,
        "Set `apiListenAddresses: 127.0.0.1`.",
    ),
    Rule(
        run_file_actors_without_placement,
        Severity.WARNING,
        "Remove the empty address, or `actorStateStore`.",
    ),
]
