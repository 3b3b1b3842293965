"""The acceptor's role: others associate with us, and ask.

`acceptor` listens and decides (`access`, `limits`). A connection is a `visit`: it negotiates an
`agreement`, and then a `session` serves the association, with the table of `answers`: `services`
has a module for each DIMSE service.
Import `acceptor`, `access`, `limits` and the counts of `services.suboperations` from outside; the
rest is this wing's own. It may import all of `node.net`: a C-MOVE is a requestor's work as well.
"""
