"""The DIMSE services that an acceptor answers, one module for each.

`echo`, `store`, `find`, `move` and `get`. The last three begin by `asking` a handler, and the last
two count their `suboperations`; `node.net.scp.answers` says which service answers what.
"""
