"""The API: units of work with idempotency keys, strict models, problem documents and their description."""

from chassis.access import INTERNAL, OPEN, OPERATE
from chassis.http.app import Router, create_api, needs
from chassis.http.models import (
    Address,
    Body,
    By,
    Limit,
    Line,
    Page,
    PageQuery,
    QueryModel,
    View,
    Whole,
)
from chassis.http.openapi import FROM_THE_SIDECAR, refuses
from chassis.http.units import OF_A_BODY, Created, Read, Unit

__all__ = [
    "FROM_THE_SIDECAR",
    "INTERNAL",
    "OF_A_BODY",
    "OPEN",
    "OPERATE",
    "Address",
    "Body",
    "By",
    "Created",
    "Limit",
    "Line",
    "Page",
    "PageQuery",
    "QueryModel",
    "Read",
    "Router",
    "Unit",
    "View",
    "Whole",
    "create_api",
    "needs",
    "refuses",
]
