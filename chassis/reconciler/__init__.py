"""The reconciler: pulls from another service's feed what the broker lost, and what it never carries."""

from chassis.reconciler.client import FeedClient
from chassis.reconciler.reconciler import RebuildNeeded, Reconciler, rebuild_of

__all__ = ["FeedClient", "RebuildNeeded", "Reconciler", "rebuild_of"]
