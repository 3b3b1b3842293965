"""A door for those who write servers with pynetdicom: their handlers, on this node's transport.

`serving.serve` takes the arguments of `pynetdicom.AE.start_server`, and gives back a `Server`. Its
acceptor is `node.net.scp`'s own, in an event loop in a thread of its own. What is the library's is
what its users see: an `association` is one of its associations, `negotiation` is by its rules, and
its service classes ask handlers and answer what they say; `primitives` are between them and our
messages, `messenger` between its threads and our loop. `hall` is where associations wait for
each other's turns in the threads of `crew`. `destinations` are those of a C-MOVE, over
associations that we request. `events` says which handlers can be bound, `tls` speaks by contexts
that are given.

Import `serve` and `Server` from `node.net`.
"""
