"""Whom one can sign in as."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A person of the demo shop: `subject` is what a token names, `scopes` what it may ask for."""

    subject: str
    name: str
    role: str
    scopes: frozenset[str]


CUSTOMER = frozenset({"orders:read", "orders:write"})
OPERATOR = frozenset({"operate", "orders:write"})
PEOPLE = {
    each.subject: each
    for each in (
        Person("alice", "Alice Martin", "customer", CUSTOMER),
        Person("bob", "Bob Okafor", "customer", CUSTOMER),
        Person("olga", "Olga Weber", "operator", OPERATOR),
    )
}
