"""Use cases over the database: what Holdfast can do."""
