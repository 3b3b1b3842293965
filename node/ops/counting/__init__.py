"""Counting: how many images a PACS has of a study, and which, below the study level.

`inquiring` asks a peer at SERIES and IMAGE level, paced; what the answers come to,
`schema.finding.counting` says. `keeping` keeps them for one study; `peers` counts all of a peer's
studies of which it does not say how many images they have, as a cycle of its own.
"""
