"""The feed: every committed event, in order, for the services that pull it with a cursor."""

from chassis.feed.api import router
from chassis.feed.feed import FeedQuery, open_feed
from chassis.feed.long_transactions import LongTransactions

__all__ = ["FeedQuery", "LongTransactions", "open_feed", "router"]
