"""Settings: defaults that run, read once from the environment, and a clear end where one is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.runtime.settings import EX_CONFIG, ServiceSettings, load
from services.notification.app import Settings as NotificationSettings
from services.order.app import Settings as OrderSettings

ROOT = Path(__file__).parents[3]
VARIABLES = ("DATABASE_URL", "DAPR_HTTP_PORT", "PUBSUB_NAME", "LOG_LEVEL")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this shell's environment says."""
    for name in (*VARIABLES, "SUBSCRIPTION_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("settings", [OrderSettings, NotificationSettings])
def test_without_any_settings_a_service_runs_locally(
    settings: type[ServiceSettings],
) -> None:
    loaded = load(settings)

    assert loaded.database_url.startswith("sqlite+aiosqlite:///.local/")
    assert loaded.sidecar_url == "http://127.0.0.1:3500"
    assert loaded.pubsub_name == "pubsub"


def test_each_service_has_a_database_of_its_own() -> None:
    assert load(OrderSettings).database_url != load(NotificationSettings).database_url


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(
        VARIABLES,
        ["postgresql+asyncpg://order@db/order", "3601", "bus", "DEBUG"],
        strict=True,
    ):
        monkeypatch.setenv(name, value)

    loaded = load(OrderSettings)

    assert loaded.database_url == "postgresql+asyncpg://order@db/order"
    assert loaded.sidecar_url == "http://127.0.0.1:3601"
    assert (loaded.pubsub_name, loaded.log_level) == ("bus", "DEBUG")


def test_settings_never_change() -> None:
    loaded = load(OrderSettings)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(loaded, "pubsub_name", "another")  # noqa: B010 - mypy would refuse the plain statement


def test_a_setting_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAPR_HTTP_PORT", "many")

    with pytest.raises(SystemExit) as ended:
        load(OrderSettings)

    assert ended.value.code == EX_CONFIG == 78
    said = capsys.readouterr().err
    assert said.startswith("The setting DAPR_HTTP_PORT is wrong: ")
    assert said.endswith("(it is 'many').\n")


@pytest.mark.parametrize("settings", [OrderSettings, NotificationSettings])
def test_a_database_that_is_neither_of_the_two_is_refused_without_its_password(
    settings: type[ServiceSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://order:secret@db/order")

    with pytest.raises(SystemExit) as ended:
        load(settings)

    said = capsys.readouterr().err
    assert ended.value.code == EX_CONFIG
    assert said.startswith("The setting DATABASE_URL is wrong: ")
    assert "secret" not in said


@pytest.mark.parametrize(("service", "port"), [("order", "many"), ("notification", "")])
def test_a_service_ends_with_that_status_and_that_sentence(
    service: str, port: str
) -> None:
    server = [sys.executable, "-m", "uvicorn", "--factory", "--port=0"]

    ended = subprocess.run(
        [*server, f"services.{service}.app:create_app"],
        cwd=ROOT,
        env={"DAPR_HTTP_PORT": port},
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == EX_CONFIG
    assert ended.stderr.decode().splitlines() == [
        "The setting DAPR_HTTP_PORT is wrong: Input should be a valid integer, "
        f"unable to parse string as an integer (it is {port!r})."
    ]
