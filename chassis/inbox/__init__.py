"""The inbox: each reaction handles an event once, however and however often it arrives."""

from chassis.inbox.inbox import Inbox, Status
from chassis.inbox.reaction import AnyReaction, Arrival, Reaction, Start

__all__ = ["AnyReaction", "Arrival", "Inbox", "Reaction", "Start", "Status"]
