"""The parts of `schema.parser`: walking a folder, reading its files, keeping what was read.

A `run` has three stations. `scan` walks, and `recognise` tells an image from what is none. A
`reader` with its deadlines has the files read by a process (`pool` here, `worker` there, `extract`
for each file). A `sink` keeps the records: `index` in a database, `text` as CSV or JSON, with
`seen` for its memory; what lies where a known image's row says, `kept` looks at. `report` counts.
`headers` reads the headers of a batch, for the node's indexer.

Everybody may import `schema.parser`; the node also has `headers`, `run`, what a sink of its own
needs (`extract`, `index`, `report`, `scan`, `seen`, `sink`), and, to compare files with their rows,
`kept` and `recognise`.
"""
