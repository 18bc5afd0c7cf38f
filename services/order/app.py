"""The order service: takes orders, tells of each with OrderCreated, and hears what became of it."""

from fastapi import FastAPI

from chassis.dapr.sidecar import Sidecar
from chassis.runtime import telemetry
from chassis.runtime.settings import DatabaseUrl, ServiceSettings, load
from chassis.service import service
from services.order.commands import create_order
from services.order.reactions import (
    show_notification_on_notification_failed,
    show_notification_on_notification_released,
    show_notification_on_notification_sent,
)
from services.order.views import order_overview


class Settings(ServiceSettings):
    """What the order service can be told."""

    database_url: DatabaseUrl = "sqlite+aiosqlite:///.local/order.db"


def create_app(
    settings: Settings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Put the service together; what is not given comes from the environment."""
    settings = settings or load(Settings)
    telemetry.log_to_console(settings.log_level)
    parts = service.parts("order", settings, sidecar)

    return service.create(
        parts,
        routers=[create_order.router, order_overview.router],
        reactions=[
            show_notification_on_notification_sent.reaction,
            show_notification_on_notification_failed.reaction,
            show_notification_on_notification_released.reaction,
        ],
    )
