"""The ways to reach the database, measured against each other."""
