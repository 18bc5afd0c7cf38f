"""The notification service: notifies the customer of each order, once."""

from pathlib import Path

from fastapi import FastAPI
from pydantic import Field

from chassis import service
from chassis.dapr import Sidecar
from chassis.parts import Parts
from chassis.runtime import ServiceSettings, load
from chassis.runtime.settings import DatabaseUrl
from services.notification.channels import BINDING, Mail
from services.notification.commands import (
    decide_about_many,
    discard_notification,
    release_notification,
)
from services.notification.dispatcher import Dispatcher
from services.notification.outcomes import Policy
from services.notification.pages import notifications
from services.notification.reactions import (
    erase_customer_on_order_erased,
    notify_customer_on_order_created,
)
from services.notification.throttle import Limits
from services.notification.views import (
    customer_export,
    notification_journey,
    notification_overview,
    notification_tallies,
)


class Settings(ServiceSettings):
    """The settings of the notification service."""

    database_url: DatabaseUrl = "sqlite:///.local/notification.db"
    email_from: str = Field(
        "Orders <orders@localhost>",
        min_length=1,
        description="the sender that a mail API is given; over SMTP, the component in `components/mail` names it",
    )
    unknown_mail: Policy = Field(
        "resend",
        description="a mail over SMTP whose outcome is unknown: `resend` it once, or `hold` it",
    )
    mails_per_hour: int = Field(
        20,
        ge=0,
        le=10_000,
        description="how many mails one address gets within an hour; what is over that waits; 0: no limit",
    )
    mails_per_minute: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="how many mails leave in a minute, to all addresses, evenly spread; 0: no limit",
    )


def make_parts(settings: Settings, sidecar: Sidecar | None = None) -> Parts:
    """Return the parts of this service, for its app and its commands."""
    migrations = Path(__file__).parent / "migrations"
    return service.make_parts("notification", settings, migrations, sidecar)


def create_app(
    settings: Settings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Return the service's app; what is not given comes from the environment."""
    settings = settings or load(Settings)
    parts = make_parts(settings, sidecar)
    dispatcher = Dispatcher(
        parts.database,
        Mail(parts.sidecar, BINDING, settings.email_from),
        settings.unknown_mail,
        Limits(settings.mails_per_hour, settings.mails_per_minute),
    )

    return service.create(
        parts,
        routers=[
            release_notification.router,
            discard_notification.router,
            decide_about_many.router,
            notification_overview.router,
            notification_journey.router,
            customer_export.router,
            notifications.router,
        ],
        reactions=[
            notify_customer_on_order_created.reaction,
            erase_customer_on_order_erased.reaction,
        ],
        loops=[dispatcher.loop(), decide_about_many.loop(parts.database)],
        needs=frozenset({BINDING}),
        tallies=notification_tallies.find_notification_tallies,
    )
