"""Which studies are meant, and in which order they come: what moves and operators choose from.

Nothing here writes; `schema.moving` and `schema.deciding` do.
"""
