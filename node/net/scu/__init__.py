"""The requestor's role: we associate with a peer, and ask.

`requestor.associate` opens an `association`, which has one method for each DIMSE service; below it
are the `exchange` of messages, the `link` that they go over, and `dialing`.
Import `requestor` and `own_certificate` from outside; the rest is this wing's own.
"""
