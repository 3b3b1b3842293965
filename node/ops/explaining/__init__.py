"""Explaining: why something is not here, from the database, the configuration and the disk alone.

`explain` tells the story of what a text names; `following` says what happens next, and is pure.
"""
