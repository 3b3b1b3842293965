"""Indexing: from the spool to a place in the archive and a row.

`indexer` takes batches from the `backlog`, has their `headers` read in processes of their own,
places and inserts them; `known` settles what is no new image; `outages` are waited out.
"""
