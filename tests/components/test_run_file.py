"""dapr.yaml says what `dapr run -f` understands, and what it names is there."""

import os
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import run, runfile
from toolchain.doctor.rules.run_files import OWN, SHARED, TOP
from toolchain.machine import this_machine

ROOT = Path(__file__).parents[2]
RUN_FILE: dict[str, Any] = yaml.safe_load((ROOT / "dapr.yaml").read_text())
COMMON: dict[str, Any] = RUN_FILE["common"]
APPS: list[dict[str, Any]] = RUN_FILE["apps"]


def package(app: dict[str, Any]) -> str:
    """Return the name of an app's package, if it is one of ours."""
    return str(app["appID"]).replace("-", "_")


SERVICES = [app for app in APPS if (ROOT / "services" / package(app)).is_dir()]
"""The apps that are ours; others may run beside them."""
DEPRECATED = {"resourcesPath", "appSSL"}


def test_every_key_is_one_that_the_cli_knows() -> None:
    shared = SHARED - DEPRECATED
    unknown = [*(RUN_FILE.keys() - TOP), *(COMMON.keys() - shared)]
    for app in APPS:
        unknown += app.keys() - shared - OWN

    assert unknown == []
    assert RUN_FILE["version"] == 1


def test_every_path_exists_and_is_relative() -> None:
    paths = [
        *COMMON["resourcesPaths"],
        COMMON["configFilePath"],
        COMMON["runtimePath"],
        COMMON["env"]["SUBSCRIPTION_FILE"],
        *(app["appDirPath"] for app in APPS),
        *(app["command"][0] for app in SERVICES),
    ]

    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path in paths if Path(path).is_absolute()] == []


def test_one_broker_is_chosen_in_both_places() -> None:
    shared, broker, _ = COMMON["resourcesPaths"]

    assert shared == "components"
    assert Path(broker).parent == Path("components")
    assert COMMON["env"]["SUBSCRIPTION_FILE"] == f"{broker}/subscription.yaml"


def test_a_mail_component_is_chosen() -> None:
    assert Path(COMMON["resourcesPaths"][-1]).parent == Path("components/mail")


@pytest.mark.parametrize(
    ("broker", "mail"),
    [("redis", "smtp"), ("kafka", "smtp"), ("kafka", "api"), ("rabbitmq", "api")],
)
def test_another_component_is_another_folder_that_is_there(
    broker: str, mail: str
) -> None:
    common = runfile.load(broker=broker, mail=mail).document["common"]

    paths = [*common["resourcesPaths"], common["env"]["SUBSCRIPTION_FILE"]]
    assert {f"components/{broker}", f"components/mail/{mail}"} < set(paths)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("broker", ["rabbitmq", "kafka"])
@pytest.mark.parametrize("offset", [0, 1000])
def test_what_a_person_types_names_what_the_sidecars_read(
    broker: str, offset: int, tmp_path: Path
) -> None:
    system = runfile.load(offset, tmp_path, broker=broker, database="postgresql")

    variables, _, run = system.by_hand.rpartition("dapr run -f ")

    named = dict(each.split("=", 1) for each in variables.split())
    needed = {"KAFKA_BROKERS"} if broker == "kafka" else set()
    assert named.items() <= system.addresses().items()
    assert named.keys() == (system.addresses().keys() if offset else needed)
    assert (ROOT / run.removeprefix("- <")).resolve() == system.file


def test_what_a_person_types_for_the_declared_system_is_its_file() -> None:
    assert runfile.load().by_hand == "dapr run -f dapr.yaml"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of dapr.yaml and of the components, to be edited."""
    shutil.copy(ROOT / "dapr.yaml", tmp_path)
    shutil.copytree(ROOT / "components", tmp_path / "components")
    monkeypatch.setattr(runfile, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("chosen", "runs"), [(None, "redis"), ("kafka", "kafka")])
def test_the_broker_that_dapr_yaml_was_edited_to_counts(
    chosen: str | None, runs: str, clone: Path
) -> None:
    text = (clone / "dapr.yaml").read_text()
    edited = text.replace("components/rabbitmq", "components/redis")
    (clone / "dapr.yaml").write_text(edited.replace("mail/smtp", "mail/api"))

    system = runfile.load(broker=chosen)

    assert (system.broker, system.mail) == (runs, "api")
    assert system.is_as_declared == (chosen is None)
    assert f"components/{runs}" in system.document["common"]["resourcesPaths"]


def test_a_folder_of_ones_own_runs_as_it_is(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = clone / "components" / "nats"
    own.mkdir()
    shutil.copy(clone / "components/redis/pubsub.yaml", own / "jetstream.yaml")
    monkeypatch.setenv("BROKER", "nats")

    system = run.chosen()

    common = system.document["common"]
    assert "components/nats" in common["resourcesPaths"]
    assert "SUBSCRIPTION_FILE" not in common["env"]
    monkeypatch.undo()  # the mail server is one of the real project
    offset = runfile.free_offset()
    elsewhere = replace(system, state=clone / "state", offset=offset)
    with run.provided(this_machine(), elsewhere) as parts:
        assert "a folder of your own" in parts.broker.how


def test_nothing_replaces_the_common_resources() -> None:
    """An app's own `resourcesPaths`, or these folders, would take their place without a word."""
    assert [app for app in APPS if "resourcesPaths" in app] == []
    for app in APPS:
        hidden = ROOT / app["appDirPath"] / ".dapr"
        assert not (hidden / "resources").exists()
        assert not (hidden / "config.yaml").exists()


def test_sidecars_and_apps_listen_on_loopback_only() -> None:
    daprd = ROOT / COMMON["runtimePath"] / ".dapr" / "bin" / "daprd"
    script = daprd.read_text()

    assert os.access(daprd, os.X_OK)
    assert COMMON["apiListenAddresses"] == "127.0.0.1"
    assert "--metrics-listen-address 127.0.0.1" in script
    assert "--dapr-internal-grpc-listen-address 127.0.0.1" in script
    assert all("--host=127.0.0.1" in app["command"] for app in SERVICES)


THIRD = {
    "appID": "statistics",
    "appDirPath": ".",
    "appPort": 8003,
    "daprHTTPPort": 3502,
    "command": ["python", "-m", "statistics_app", "--port=8003"],
    "env": {"COUNT": "days"},
}


@pytest.fixture
def with_a_third_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a third app to dapr.yaml, as a team would write it: with no more ports than it must have."""
    document = {**RUN_FILE, "apps": [*APPS, THIRD]}
    (tmp_path / "dapr.yaml").write_text(yaml.safe_dump(document))
    configuration = tmp_path / "configuration"
    configuration.mkdir()
    shutil.copy(ROOT / COMMON["configFilePath"], configuration)
    monkeypatch.setattr(runfile, "ROOT", tmp_path)


@pytest.mark.usefixtures("with_a_third_app")
@pytest.mark.parametrize("database", runfile.DATABASES)
def test_a_third_app_is_moved_with_the_others_and_its_env_stays(
    database: str, tmp_path: Path
) -> None:
    system = runfile.load(1000, tmp_path / "moved", database=database)

    app = system.app("statistics")
    assert (app["appPort"], app["daprHTTPPort"], app["daprGRPCPort"]) == (
        9003,
        4502,
        4552,
    )
    assert app["command"][-1] == "--port=9003"
    assert app["env"]["COUNT"] == "days"
    assert "statistics" in app["env"]["DATABASE_URL"]


@pytest.mark.usefixtures("with_a_third_app")
def test_without_an_offset_a_third_app_is_as_it_is_declared() -> None:
    assert runfile.load().app("statistics") == THIRD


def test_the_apps_health_is_watched() -> None:
    assert COMMON["enableAppHealthCheck"] is True
    assert COMMON["appHealthCheckPath"] == "/healthz"


def test_an_app_is_not_unhealthy_for_being_started_again() -> None:
    """daprd adds failed probes up, whatever succeeds between them: see conformance/test_health.py."""
    failed_at_a_restart = 2

    assert COMMON["appHealthThreshold"] >= 10 * failed_at_a_restart


def test_a_probe_ends_before_the_next_one() -> None:
    """The interval is in seconds, the time-out in milliseconds; daprd refuses to start with a longer one."""
    interval = COMMON["appHealthProbeInterval"] * 1000

    assert 0 < COMMON["appHealthProbeTimeout"] < interval


def test_all_ports_are_distinct() -> None:
    ports = [*runfile.ports_of(runfile.load()), *runfile.PORTS.values()]

    assert len(set(ports)) == len(ports)


def test_every_service_is_run() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/app.py")}

    assert sorted(package(app) for app in SERVICES) == sorted(folders)


@pytest.mark.parametrize("app", SERVICES, ids=lambda app: str(app["appID"]))
def test_an_app_is_kept_running_and_listens_where_its_sidecar_looks(
    app: dict[str, Any],
) -> None:
    module = f"services.{package(app)}.app"

    assert app["command"][:4] == [
        "toolchain/keep",
        "uvicorn",
        "--factory",
        f"{module}:create_app",
    ]
    assert f"--port={app['appPort']}" in app["command"]
    assert "--http=chassis.connection:Connection" in app["command"]
    assert callable(import_module(module).create_app)


def test_a_sidecar_is_kept_running() -> None:
    script = (ROOT / COMMON["runtimePath"] / ".dapr" / "bin" / "daprd").read_text()

    assert 'exec "$root/toolchain/keep" "$root/.venv/bin/daprd" "$@"' in script


@pytest.mark.parametrize("app", SERVICES, ids=lambda app: str(app["appID"]))
def test_an_app_leaves_it_to_its_sidecar_to_close_an_idle_connection(
    app: dict[str, Any],
) -> None:
    """daprd keeps one for 90 s (Go's default); used just as the app closes it, a request is lost on it."""
    option = "--timeout-keep-alive="
    (seconds,) = [
        float(part.removeprefix(option))
        for part in app["command"]
        if part.startswith(option)
    ]

    assert seconds > 90


@pytest.mark.parametrize("app", SERVICES, ids=lambda app: str(app["appID"]))
def test_an_app_is_one_process(app: dict[str, Any]) -> None:
    """Its loops run once for each sidecar; more of it are replicas."""
    assert not any(
        part.startswith(("--workers", "--reload")) for part in app["command"]
    )
