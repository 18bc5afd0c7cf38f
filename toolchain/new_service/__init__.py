"""`make new-service`: adds a service to this repository, with one small example that works."""
