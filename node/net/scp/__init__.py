"""The acceptor's role: others associate with us, and ask.

`acceptor` listens and decides (`access`, `limits`). A connection is a `visit`: it negotiates an
`agreement`, and then a `session` serves the association, with the table of `answers`: `echo`,
`store`, `find`, `move` and `get`, one module for each DIMSE service. The last three begin by
`asking` a handler, and the last two count their `suboperations`.
Import `acceptor`, `access`, `limits` and the counts of `suboperations` from outside; the rest is
this wing's own. It may import
all of `node.net`: a C-MOVE is a requestor's work as well.
"""
