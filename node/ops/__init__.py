"""The use cases: what the node does, each as one async function or object.

`receiving` takes objects from the network to the spool, `indexing` from the spool to the index;
`finding` and `moving` ask peers for what is not here, and `checking` compares what should be here
with what is. Beside them: `send` and `peers` (C-STORE, C-ECHO), `projects` by their names,
`status`, and what several share: `tls` (from the settings to contexts), `database` (until it is
there), `cycles` (what was begun, as rows), `tour` (several peers in turn), `line` (one association
for several operations), `stalls` (what a peer does not bring to an end), `running`, `threads`.

The command line and the daemon call these, and are told as values how far they are; these call the
network, the storage directory and the schema. None of them prints.
"""
