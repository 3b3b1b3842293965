"""Receiving: from a C-STORE request to an acknowledged object in the spool.

`receiver` starts the acceptor (`listening`), the spool and the indexer together; `spooling` takes
each object; `gate` says when none can be taken. `intake` is what a move sees of all that, here or
at a node beside. Import `receiver`, `listening` and `intake`.
"""
