"""Mirroring: one database made like another, and kept so.

`once` and `follow` are the two ways in. Both are made of rounds (`round`): `compare` pages of both
sides in `canonical` form, write to the `target`, and note in `identity` whose mirror it is.

Everybody may import `once`, `follow`, and the reports of a `round`.
"""
