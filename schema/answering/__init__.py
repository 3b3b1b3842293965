"""What others are shown and given of the index, when they ask this node.

`scope` says which images that are, for whom.
"""
