"""`make rename`: makes a new repository of this one, with the names of one's own services and first event."""
