"""The order service: accepts orders, publishes OrderCreated, and shows what became of each notification."""

from pathlib import Path

from fastapi import FastAPI
from pydantic import Field

from chassis.dapr import Sidecar
from chassis.runtime import ServiceSettings, load
from chassis.runtime.settings import DatabaseUrl
from chassis.service import create, make_parts
from services.order.commands import create_order, erase_customer
from services.order.pages import desk, journey
from services.order.reactions import show_notification
from services.order.views import (
    customer_export,
    order_journey,
    order_overview,
    order_tallies,
)

MIGRATIONS = Path(__file__).parent / "migrations"


class Settings(ServiceSettings):
    """The order service's settings."""

    database_url: DatabaseUrl = "sqlite:///.local/order.db"
    notification_pages_url: str | None = Field(
        None,
        pattern="^https?://.*/$",
        description="where a browser finds the notification service's pages; dapr.yaml sets it",
    )


def create_app(
    settings: Settings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Return the service's app; what is not given comes from the environment."""
    settings = settings or load(Settings)
    return create(
        make_parts("order", settings, MIGRATIONS, sidecar),
        routers=[
            create_order.router,
            erase_customer.router,
            customer_export.router,
            order_overview.router,
            order_overview.internal,
            order_journey.router,
            desk.router,
            journey.router(
                journey.Elsewhere(
                    settings.trace_viewer_url, settings.notification_pages_url
                )
            ),
        ],
        reactions=[
            show_notification.on_notification_sent,
            show_notification.on_notification_failed,
            show_notification.on_notification_released,
        ],
        tallies=order_tallies.find_order_tallies,
    )
