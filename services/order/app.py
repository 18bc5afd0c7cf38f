"""The order service: takes orders, and tells of each with OrderCreated."""

from fastapi import FastAPI

from chassis import service, telemetry
from chassis.database import Database
from chassis.relay import Relay
from chassis.settings import ServiceSettings, load
from chassis.sidecar import Sidecar
from services.order.commands import create_order
from services.order.views import order_overview


class Settings(ServiceSettings):
    """What the order service can be told."""

    database_url: str = "sqlite+aiosqlite:///.local/order.db"


def create_app(
    settings: Settings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Put the service together; what is not given comes from the environment."""
    settings = settings or load(Settings)
    telemetry.log_to_console(settings.log_level)
    database = Database(settings.database_url, "order")
    sidecar = sidecar or Sidecar(settings.sidecar_url)
    relay = Relay(database, sidecar, settings.pubsub_name)

    app = service.create(
        "order",
        database,
        sidecar,
        loops=[relay.loop()],
        needs=frozenset({settings.pubsub_name}),
    )
    app.include_router(create_order.router)
    app.include_router(order_overview.router)
    return app
