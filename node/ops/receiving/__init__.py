"""Receiving: from a C-STORE request to an acknowledged object in the spool.

`receiver` is the way in: it starts the acceptor, the spool and the indexer together. `spooling`
takes each object; `gate` says when none can be taken. Import `receiver`.
"""
