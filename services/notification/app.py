"""The notification service: tells the customer of each order, once."""

from datetime import timedelta

from fastapi import FastAPI
from pydantic import Field

from chassis.dapr.sidecar import Sidecar
from chassis.runtime import telemetry
from chassis.runtime.settings import DatabaseUrl, ServiceSettings, load
from chassis.service import service
from services.notification.channels import Console, Mail
from services.notification.commands import release_notification
from services.notification.dispatcher import Dispatcher
from services.notification.model import Channel
from services.notification.outcomes import Policy
from services.notification.reactions import notify_customer_on_order_created
from services.notification.views import notification_overview


class Settings(ServiceSettings):
    """What the notification service can be told."""

    database_url: DatabaseUrl = "sqlite+aiosqlite:///.local/notification.db"
    # The output binding that sends mail, and the sender where the binding itself knows none: components/mail.
    email_name: str = Field("email", min_length=1)
    email_from: str = Field("Orders <orders@localhost>", min_length=1)
    # For how long a mail API is relied on to know a mail's key: less than its provider says.
    email_key_hours: float = Field(12, gt=0, le=8760)
    # A mail of which nobody knows whether it was sent, to a server that would not know it again: send it once
    # more, or hold it for an operator.
    unknown_mail: Policy = "resend"


def create_app(
    settings: Settings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Put the service together; what is not given comes from the environment."""
    settings = settings or load(Settings)
    telemetry.log_to_console(settings.log_level)
    parts = service.parts("notification", settings, sidecar)
    database = parts.database
    mail = Mail(parts.sidecar, settings.email_name, settings.email_from)
    console = Dispatcher(database, Channel.CONSOLE, Console(), batch=100)
    email = Dispatcher(
        database,
        Channel.EMAIL,
        mail,
        unknown=settings.unknown_mail,
        key_kept=timedelta(hours=settings.email_key_hours),
    )

    return service.create(
        parts,
        routers=[release_notification.router, notification_overview.router],
        reactions=[notify_customer_on_order_created.reaction],
        loops=[console.loop(), email.loop()],
    )
