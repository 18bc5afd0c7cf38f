"""Clusters under faults: three nodes of a broker, a primary and its standby, four processes of each service."""
