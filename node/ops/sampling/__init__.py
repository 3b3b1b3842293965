"""Retrieving some studies again, and comparing them with what is held.

1. `schema.choosing.sampling` chooses the studies, and `sample` goes through them, peer by peer.
2. The way to each is one of `node.ops.retrieving`'s; what comes goes to `copies`, never into the
   archive or the index: into files of ours in the spool's folder, which are no entries, and which
   are removed when they were compared, or by the process that opens the spool next.
3. `node.storage.files` compares two files; `report` is what came of it.

The command line imports `sample` and `report`.
"""
