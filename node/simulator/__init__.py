"""A PACS to demonstrate and to test with.

`corpus` makes images, `archive` indexes a folder of them, `behaviour` decides what is
answered, and `server` puts that on the network. What is answered and how it is served are
apart, so that a PACS which misbehaves is another `Behaviour` and nothing else.
"""
