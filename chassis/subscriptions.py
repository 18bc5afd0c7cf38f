"""Which reaction hears which topic: dapr-ext-fastapi's DaprApp, with what it lacks around it."""

from pathlib import Path
from typing import Any

import yaml
from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI, Request

from chassis.database import Database
from chassis.inbox import E, Reaction, take_in


class Subscriptions:
    """The topics of one app: each delivery goes through the inbox to the reaction that hears it."""

    def __init__(
        self, app: FastAPI, database: Database, pubsub: str, tuning: dict[str, str]
    ) -> None:
        self._dapr = DaprApp(app, router_tags=["Dapr"])
        self._database = database
        self._pubsub = pubsub
        self._tuning = tuning

    def on(self, reaction: Reaction[E]) -> None:
        """Subscribe to the topic of the reaction's event."""

        # The body is parsed by hand: FastAPI would refuse a bad one with 422, which Dapr retries for ever.
        async def deliver(request: Request) -> dict[str, str]:
            return {
                "status": await take_in(self._database, reaction, await request.body())
            }

        topic = reaction.event.topic()
        deliver.__name__ = reaction.name
        self._dapr.subscribe(
            self._pubsub, topic, metadata=self._tuning, route=f"/events/{topic}"
        )(deliver)


def read_tuning(resource: Path | None) -> dict[str, str]:
    """Read what the broker's folder says about its subscriptions: the `metadata` of a SubscriptionTuning.

    A subscription made in code replaces, for its topic, one that is declared for daprd, without a word; so
    what the folder says is handed on in code. Python knows no broker's settings.
    """
    if resource is None:
        return {}
    # The base loader leaves every value the text that it is: `true` stays true, as Dapr wants it.
    document: dict[str, Any] = yaml.load(resource.read_text(), yaml.BaseLoader)  # noqa: S506
    return dict(document.get("metadata") or {})
