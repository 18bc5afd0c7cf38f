"""Settings come from the environment, are read once by each service's app.py, and never change."""

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    FilePath,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.runtime.loopback import is_loopback

EX_CONFIG = 78
"""The exit status that says "the configuration is wrong" (sysexits.h): starting again will not help."""


def _is_supported(url: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise ValueError(
            "it must be of the form sqlite:///path/to/file.db or postgresql://user:password@host/name"
        )
    return url


DatabaseUrl = Annotated[
    str,
    AfterValidator(_is_supported),
    Field(
        description="`sqlite:///path/to/file.db` or `postgresql://user:password@host/name`, with libpq's options "
        "(`?sslmode=require`); one database for each service"
    ),
]
"""Where a service's database is; a service that gives it a default repeats this type."""


class SidecarSettings(BaseSettings):
    """Where the sidecar is, and the token that it wants with what it is asked; each is named as Dapr names it."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    dapr_http_port: int = Field(
        3500, ge=1, le=65535, description="the sidecar's HTTP port; Dapr sets it"
    )
    dapr_api_token: SecretStr | None = Field(
        None,
        description="token that the sidecar asks for, sent with each call to it",
    )

    @property
    def sidecar_url(self) -> str:
        """The address of the sidecar's HTTP API."""
        return f"http://127.0.0.1:{self.dapr_http_port}"


class CommandSettings(SidecarSettings):
    """What a command line needs to call a service through its sidecar."""

    token: SecretStr | None = Field(
        None,
        description="access token of whoever types it, where access control is on: `make token` prints one",
    )


class TelemetrySettings(BaseSettings):
    """Where a service shows what it does, and what it measures."""

    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="where Prometheus reads the [metrics](#metrics), at `/metrics`; dapr.yaml sets it",
    )
    metrics_host: str | None = Field(
        None,
        min_length=1,
        description="the address of this machine at which it does, for whoever reaches it; without, only "
        "programs on this machine can",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="`text` for a terminal, or `json`: one object a line, with trace, subject and event",
    )
    # OpenTelemetry itself reads its other variables.
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None,
        description="where traces go, by OTLP over HTTP: `http://127.0.0.1:4318`; without it there are none",
    )
    otel_traces_sampler: Literal[
        "parentbased_traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "traceidratio",
        "always_on",
        "always_off",
    ] = Field(
        "parentbased_traceidratio",
        description="which traces are recorded; those that begin with `parentbased_` follow whoever called, and "
        "decide where nobody did",
    )
    otel_traces_sampler_arg: float = Field(
        0.1,
        ge=0,
        le=1,
        description="the share of traces that a `…traceidratio` records",
    )
    otel_bsp_schedule_delay: int = Field(
        1000, ge=1, description="milliseconds after which spans are exported, at most"
    )
    trace_viewer_url: str | None = Field(
        None,
        pattern=r"^https?://[^{}]+\{trace_id\}[^{}]*$",
        description="the address of a trace, with `{trace_id}` for its id, that a page leads to: "
        "`http://127.0.0.1:9411/zipkin/traces/{trace_id}`; `make run` sets it beside `make observe`",
    )


def _is_issuer(url: str) -> str:
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        raise ValueError("it must be https://…, or http://… on this machine")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("it must have neither a user nor a query nor a fragment")
    return url


class AccessSettings(BaseSettings):
    """Whose access tokens are accepted; without an issuer there is no access control, on loopback alone."""

    oidc_issuer: Annotated[str, AfterValidator(_is_issuer)] | None = Field(
        None,
        description="the OpenID Connect issuer whose access tokens are accepted, exactly as they name it: "
        "`https://id.example.org/`; without it there is no access control, and a service that listens beyond "
        "loopback does not start",
    )
    oidc_audience: str | None = Field(
        None,
        min_length=1,
        validate_default=True,
        description="the audience (`aud`) that an access token must be for; needed with `OIDC_ISSUER`",
    )
    oidc_client_id: str | None = Field(
        None,
        min_length=1,
        description="the client that the pages sign in as; another one than `OIDC_AUDIENCE`",
    )

    public_url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+/([A-Za-z0-9._~-]+/)*$",
        validate_default=True,
        description="where browsers find this service: `https://example.org/shop/`; it answers under that "
        "name, and from signing in they come back to `signed-in` below it; needed with `OIDC_CLIENT_ID`",
    )

    @field_validator("oidc_audience")
    @classmethod
    def _is_given(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("oidc_issuer") and audience is None:
            raise ValueError("it must be set where OIDC_ISSUER is")
        return audience

    @field_validator("oidc_client_id")
    @classmethod
    def _is_another(cls, client: str | None, info: ValidationInfo) -> str | None:
        # A client's ID token has the client for its audience: it would pass for an access token.
        if client is not None and client == info.data.get("oidc_audience"):
            raise ValueError("it must not be the same as OIDC_AUDIENCE")
        return client

    @field_validator("public_url")
    @classmethod
    def _is_known(cls, url: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("oidc_client_id") is None:
            return url
        parts = urlsplit(url or "")
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise ValueError(
                "where people sign in, it must be https://…, or on this machine"
            )
        return url


class ServiceSettings(SidecarSettings, TelemetrySettings, AccessSettings):
    """The settings of every service; each environment variable is a field's name in capitals."""

    database_url: DatabaseUrl
    app_api_token: SecretStr | None = Field(
        None,
        description="token that the sidecar sends to the routes that only it calls; where it is set, they "
        "answer 401 without it",
    )
    pubsub_name: str = Field(
        "pubsub", min_length=1, description="the pub/sub component"
    )
    subscription_file: FilePath | None = Field(
        None, description="the broker's `subscription.yaml`; dapr.yaml sets it"
    )
    secrets_folder: Path = Field(
        Path(".local"),
        description="folder of `feed.secret`, which services share, and of the keys that events are signed with: "
        "`shop.keys` has those of the service `shop`, which creates it",
    )
    retention_days: float = Field(
        7,
        gt=0,
        le=36500,
        description="how long an event is kept; longer where a consumer has not acknowledged it, for ever where "
        "its topic has none",
    )
    backlog_limit: int = Field(
        100_000,
        ge=1,
        description="how many events may wait for the broker before commands are answered 503",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the lowest level that is logged"
    )


def reveal(secret: SecretStr | None) -> str | None:
    """Return a secret's text, if there is one."""
    return secret.get_secret_value() if secret else None


def refuse(name: str, why: str, value: object) -> NoReturn:
    """End the process with one sentence about a setting that is wrong."""
    sys.stderr.write(f"The setting {name} is wrong: {why} (it is {value}).\n")
    sys.exit(EX_CONFIG)


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read the settings, or end the process with one sentence for each that is wrong."""
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
    hidden = ("DATABASE_URL", "APP_API_TOKEN", "DAPR_API_TOKEN", "TOKEN")
    return "not shown" if name in hidden else repr(value)
