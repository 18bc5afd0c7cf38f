"""Settings come from the environment, are read once by each service's app.py, and never change."""

import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, FilePath, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

EX_CONFIG = 78
"""The exit status that says "the configuration is wrong" (sysexits.h): starting again will not help."""


def _is_supported(url: str) -> str:
    if not url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        raise ValueError(
            "it must be of the form sqlite+aiosqlite:///path/to/file.db "
            "or postgresql+asyncpg://user:password@host/name"
        )
    return url


DatabaseUrl = Annotated[str, AfterValidator(_is_supported)]
"""Where a service's database is; a service that gives it a default must give it this type again."""


class ServiceSettings(BaseSettings):
    """What every service can be told; each variable of the environment is a field's name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: DatabaseUrl
    # Dapr sets this one for the apps that it runs.
    dapr_http_port: int = Field(3500, ge=1, le=65535)
    # ... and sends this one to the app with what only the sidecar calls, where it is set for both.
    app_api_token: SecretStr | None = None
    pubsub_name: str = Field("pubsub", min_length=1)
    # The broker's folder says how its subscriptions are to be: chassis/subscriptions.py.
    subscription_file: FilePath | None = None
    # What the services tell each other to read their feeds; made by the first that needs it.
    feed_secret_file: Path = Path(".local/feed.secret")
    # How long an event is kept after all who read it have taken it in.
    retention_days: float = Field(7, gt=0, le=36500)
    # How many events may wait for the broker before the service takes no more: chassis/backlog.py.
    backlog_limit: int = Field(100_000, ge=1)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def sidecar_url(self) -> str:
        """Where the sidecar's HTTP API listens."""
        return f"http://127.0.0.1:{self.dapr_http_port}"

    @property
    def token(self) -> str | None:
        """What the sidecar sends, where it sends anything."""
        return self.app_api_token.get_secret_value() if self.app_api_token else None


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read the settings, or end the process with a sentence for each that is wrong."""
    try:
        return settings()
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            reason = fault["msg"].removeprefix("Value error, ")
            sys.stderr.write(
                f"The setting {name} is wrong: {reason} (it is {_shown(name, fault['input'])}).\n"
            )
        sys.exit(EX_CONFIG)


def _shown(name: str, value: object) -> str:
    # A URL may hold a password.
    return (
        "not shown"
        if name in ("DATABASE_URL", "APP_API_TOKEN", "DAPR_API_TOKEN")
        else repr(value)
    )
