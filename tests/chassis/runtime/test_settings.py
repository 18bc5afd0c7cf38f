"""Settings: defaults that run, read once from the environment; a wrong one ends the process with a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.runtime.settings import EX_CONFIG, ServiceSettings, load, reveal
from services.notification.app import Settings as NotificationSettings
from services.order.app import Settings as OrderSettings

ROOT = Path(__file__).parents[3]
VARIABLES = ("DATABASE_URL", "DAPR_HTTP_PORT", "PUBSUB_NAME", "LOG_LEVEL")
OTHERS = ("SUBSCRIPTION_FILE", "APP_API_TOKEN", "DAPR_API_TOKEN", "SECRETS_FOLDER")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of this shell's environment."""
    for name in (*VARIABLES, *OTHERS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("settings", [OrderSettings, NotificationSettings])
def test_without_any_settings_a_service_runs_locally(
    settings: type[ServiceSettings],
) -> None:
    loaded = load(settings)

    assert loaded.database_url.startswith("sqlite:///.local/")
    assert loaded.sidecar_url == "http://127.0.0.1:3500"
    assert loaded.pubsub_name == "pubsub"
    assert loaded.secrets_folder == Path(".local")
    assert (loaded.app_api_token, loaded.dapr_api_token) == (None, None)


def test_each_service_has_a_database_of_its_own() -> None:
    assert load(OrderSettings).database_url != load(NotificationSettings).database_url


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(
        VARIABLES,
        ["postgresql://order@db/order", "3601", "bus", "DEBUG"],
        strict=True,
    ):
        monkeypatch.setenv(name, value)

    loaded = load(OrderSettings)

    assert loaded.database_url == "postgresql://order@db/order"
    assert loaded.sidecar_url == "http://127.0.0.1:3601"
    assert (loaded.pubsub_name, loaded.log_level) == ("bus", "DEBUG")


def test_settings_never_change() -> None:
    loaded = load(OrderSettings)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(loaded, "pubsub_name", "another")  # noqa: B010 - mypy would refuse the plain statement


def test_a_setting_that_is_wrong_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAPR_HTTP_PORT", "many")

    with pytest.raises(SystemExit) as ended:
        load(OrderSettings)

    assert ended.value.code == EX_CONFIG == 78
    line = capsys.readouterr().err
    assert line.startswith("The setting DAPR_HTTP_PORT is wrong: ")
    assert line.endswith("(it is 'many').\n")


@pytest.mark.parametrize("settings", [OrderSettings, NotificationSettings])
@pytest.mark.parametrize(
    "url",
    [
        "mysql://order:secret@db/order",
        "postgresql+asyncpg://order:secret@db/order",
        "sqlite+aiosqlite:///secret.db",
        "secret",
        "",
    ],
)
def test_a_url_of_neither_database_is_refused_without_showing_its_password(
    settings: type[ServiceSettings],
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(SystemExit) as ended:
        load(settings)

    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == EX_CONFIG
    assert line.startswith("The setting DATABASE_URL is wrong: it must be of the form ")
    assert "secret" not in line


@pytest.mark.parametrize("name", ["APP_API_TOKEN", "DAPR_API_TOKEN"])
def test_a_token_is_read_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "a-secret-token")

    loaded = load(OrderSettings)

    assert reveal(getattr(loaded, name.lower())) == "a-secret-token"
    assert "a-secret-token" not in repr(loaded)


@pytest.mark.parametrize("name", ["APP_API_TOKEN", "DAPR_API_TOKEN"])
def test_an_empty_token_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")

    assert not reveal(getattr(load(OrderSettings), name.lower()))


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
