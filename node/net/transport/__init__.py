"""Sockets: connections, their deadlines, TLS, and the listening ports.

`listener` takes connections, `tls` and `descriptors` prepare them, and `connection` moves their
bytes between asyncio and the sans-IO core of `node.upperlayer`, within `deadlines` and `pace`, in
its `turns`; `failures` logs what must not stop one, `holder` says who has a port that is taken.
Nothing here knows a DIMSE service. `reachable` asks whether anybody listens at all. Import `tls`
and `reachable` from outside; the others are for the rest of `node.net`, of which they import
nothing.
"""
