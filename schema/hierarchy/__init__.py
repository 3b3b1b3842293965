"""The patients, studies and series above images.

`schema.images` gives a batch to `parents`, which looks up what is above it or makes it;
`childless` removes what came to nothing, `persons` notes where two are in one study, `links` ties a
study to what was found of it, `sources` to the PACSs that have it; `gone` notes which have it no
more.

Only `schema.images`, `schema.found` and `schema.moves` write by it, and a find by `gone`; `sources`
is read by all.
"""
