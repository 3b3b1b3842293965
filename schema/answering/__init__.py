"""What others are shown and given of the index, when they ask this node.

`scope` says which images that are, for whom. A query goes by way of `narrowing` (keys as
conditions), `candidates` (the entities that may match), `describing` (what is known of them) and
`headers` (attributes that no row has).
"""
