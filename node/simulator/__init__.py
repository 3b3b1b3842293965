"""A PACS to demonstrate and to test with.

`server` is the way in: it puts on the network what a `behaviour` answers. An honest one answers
from the `archive`, the index of a folder of images, by way of `hierarchy` (the levels of PS3.4) and
`node.dicom.querying` (keys, and what they match). `corpus` makes such a folder of what
`demonstration` lists. What is answered and how it is served are apart, so that a PACS which
misbehaves is another `Behaviour` and nothing else.

Import `server`, `behaviour`, `archive` and `corpus`.
"""
