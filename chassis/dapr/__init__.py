"""The way out of a service: its Dapr sidecar; and who may come in through it."""

from chassis.dapr.bindings import BindingRefused, OutcomeUnknown
from chassis.dapr.sidecar import (
    Entry,
    PublishRejected,
    Sidecar,
    SidecarUnavailable,
)
from chassis.dapr.wire import Answer

__all__ = [
    "Answer",
    "BindingRefused",
    "Entry",
    "OutcomeUnknown",
    "PublishRejected",
    "Sidecar",
    "SidecarUnavailable",
]
