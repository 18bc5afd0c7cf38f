"""A service, put together from its parts."""

from chassis.service.service import create, make_parts, migrate
from chassis.service.tables import CHASSIS_TABLES

__all__ = ["CHASSIS_TABLES", "create", "make_parts", "migrate"]
