"""Storage commitment: what was asked for (`commitments`), by others of us and by us of others.

`schema.committing` writes and reads them.
"""
