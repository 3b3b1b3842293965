"""Indexing: from the spool to a place in the archive and a row.

The way through: `indexer` takes batches from the `backlog`, has their headers read in processes of
their own (`schema.parsing.headers`), gives them their places and inserts them. What is known
already goes to `settling`, which looks at the file that is there, asks `schema.judgement` what the
new one is, and restores, repairs or quarantines; `records` has what is said of an object there and
in its row. What keeps all this from going on is told to `outages`, and waited out there.

From elsewhere `indexer.Indexer` is used; and by `node.ops.checking`, which settles objects of the
quarantine the same way, `settling.Settlement` and `records`.
"""
