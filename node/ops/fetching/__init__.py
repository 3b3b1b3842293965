"""Studies brought into a plain folder of DICOM files, beside the archive and the index.

`fetch` is the way in: it asks a peer which images there are, has them brought by one of the ways of
`node.ops.retrieving` after the other until they are all there (`ways`), and holds what came against
what was listed. `folder` takes the objects and gives them their names; `wish` says what is wanted,
and `report` what became of it.
"""
