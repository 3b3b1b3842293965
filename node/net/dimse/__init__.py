"""Messages: what both roles make of an association's events, and of the datasets they send.

`inbox` puts commands and fragments together and hands datasets on to a sink (`sinks`, `guarded`);
`identifiers` and `sendable` are what goes out, `commitments` the messages of Storage Commitment;
`contexts` knows abstract and transfer syntaxes.
Import `contexts` and `sinks` from outside. It may import `node.net.messages` and the transport.
"""
