"""Hostile events and requests at the doors of the services, in one process and without a network."""
