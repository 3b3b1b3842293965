"""Mirroring: one database made like another, and kept so.

`once` and `follow` are the two ways; both are made of rounds (`round`): `compare` pages of both
sides in `canonical` form, write to the `target`, and note in `identity` whose mirror it is.
"""
