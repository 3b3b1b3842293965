"""The ways in which images are brought here: C-MOVE, C-GET and WADO-RS, behind one interface.

1. `wanted` says what: a study, some of its series, or some of their images.
2. `way` says by which of the ways it is asked for, from the configuration and what is known of the
   peer, and makes the `retriever` that goes it.
3. `pieces` divides what is wanted into requests, as the levels of the standard allow.
4. `asking` puts one request after the other; `over_dimse` is what `c_move` and `c_get` have in
   common (`contexts` are those of the latter), and `wado_rs` the way over HTTP.
5. `tallying` sums what the peer says, and `answer` is what came of it all.

What the peer says is no evidence: the index is. `c_get` and `wado_rs` take the images themselves,
and hand them to the store that the process has (`node.ops.receiving.intake`).

Import `way`, `wanted`, `answer` and `retriever` from outside; the rest is this wing's own.
"""
