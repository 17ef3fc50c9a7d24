"""Doors to the use cases: how to ask."""
