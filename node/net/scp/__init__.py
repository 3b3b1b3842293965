"""The acceptor's role: others associate with us, and ask.

`acceptor` listens and decides (`access`, `limits`), a `session` serves one association on what its
`agreement` says, and each DIMSE service is a module of its own that answers.
Import `acceptor`, `access` and `limits` from outside; the rest is this wing's own.
"""
