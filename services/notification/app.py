"""The notification service: tells the customer of each order, once."""

from fastapi import FastAPI
from pydantic import FilePath

from chassis import service, telemetry
from chassis.database import Database
from chassis.settings import ServiceSettings, load
from chassis.sidecar import Sidecar
from chassis.subscriptions import Subscriptions, read_tuning
from services.notification.dispatcher import Dispatcher
from services.notification.reactions import notify_customer_on_order_created
from services.notification.views import notification_overview


class Settings(ServiceSettings):
    """What the notification service can be told."""

    database_url: str = "sqlite+aiosqlite:///.local/notification.db"
    # The broker's folder says how its subscriptions are to be: chassis/subscriptions.py.
    subscription_file: FilePath | None = None


def create_app(
    settings: Settings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Put the service together; what is not given comes from the environment."""
    settings = settings or load(Settings)
    telemetry.log_to_console(settings.log_level)
    database = Database(settings.database_url, "notification")
    sidecar = sidecar or Sidecar(settings.sidecar_url)
    dispatcher = Dispatcher(database)
    needs = frozenset({settings.pubsub_name, "subscription to OrderCreated"})

    app = service.create(
        "notification", database, sidecar, loops=[dispatcher.loop()], needs=needs
    )
    app.include_router(notification_overview.router)
    subscriptions = Subscriptions(
        app, database, settings.pubsub_name, read_tuning(settings.subscription_file)
    )
    subscriptions.on(notify_customer_on_order_created.reaction)
    return app
