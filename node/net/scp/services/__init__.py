"""The DIMSE services that an acceptor answers, one module for each.

`echo`, `store`, `find`, `move` and `get`, `commit` and, as its SCU, `report`. `find`, `move` and
`get` begin by `asking` a handler, and the last two count their `suboperations`;
`node.net.scp.answers` says which service answers what.
"""
