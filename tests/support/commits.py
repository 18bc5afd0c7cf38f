"""What makes the COMMIT of whatever writes to the outbox fail, on each database, and what ends that."""

# A deferred foreign key is checked by COMMIT itself: everything before it succeeds.
_BROKEN = "CREATE TABLE broken (parent bigint REFERENCES outbox (position) DEFERRABLE INITIALLY DEFERRED)"
FAIL_AT_COMMIT = {
    "sqlite": (
        _BROKEN,
        "CREATE TRIGGER broken AFTER INSERT ON outbox BEGIN INSERT INTO broken VALUES (-1); END",
    ),
    "postgresql": (
        _BROKEN,
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO broken VALUES (-1); RETURN NULL; END'",
        "CREATE TRIGGER broken AFTER INSERT ON outbox EXECUTE FUNCTION broken()",
    ),
}
COMMIT_AGAIN = {
    "sqlite": ("DROP TRIGGER broken",),
    "postgresql": ("DROP TRIGGER broken ON outbox",),
}
