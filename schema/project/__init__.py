"""Projects: what lists of studies name, hold, miss and export.

`entries` fills them, `members` says of each study where it is (`inquiries`: what was asked for it),
`reports` counts, `selection` finds studies by criteria (`keys`: what these may be), `export` writes
them to files, `listing` reads images in an order for lists of them.

Everybody may import all of it; `schema` exports what a notebook needs.
"""
