"""A service, put together from its parts."""

from chassis.service.service import create, make_parts, migrate

__all__ = ["create", "make_parts", "migrate"]
