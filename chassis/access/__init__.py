"""Who calls: access tokens (JWT) of an OpenID Connect issuer, and the scopes that routes need."""

from chassis.access.access import Access, fetching
from chassis.access.caller import (
    INTERNAL,
    OPEN,
    OPERATE,
    Caller,
    ScopeMissing,
    Unauthenticated,
    bearer,
)
from chassis.access.code_flow import CodeFlow, Identity, SignInRefused
from chassis.access.issuer import Issuer, IssuerUnavailable
from chassis.access.loopback import LoopbackOnly, check_address

__all__ = [
    "INTERNAL",
    "OPEN",
    "OPERATE",
    "Access",
    "Caller",
    "CodeFlow",
    "Identity",
    "Issuer",
    "IssuerUnavailable",
    "LoopbackOnly",
    "ScopeMissing",
    "SignInRefused",
    "Unauthenticated",
    "bearer",
    "check_address",
    "fetching",
]
