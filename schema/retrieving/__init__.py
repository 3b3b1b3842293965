"""What is given to those who retrieve from this node: which images, and how they are encoded.

`images` chooses what a C-MOVE or a C-GET sends, within what its caller may see
(`schema.answering.scope`); `syntaxes` says how the objects of each SOP class are encoded, for the
contexts of a C-GET. Nothing here writes.
"""
