"""Failing one call of a receiving node at a time, each one that it makes for an object."""
