"""Sockets: connections, their deadlines, TLS, and the listening ports.

`listener` takes connections, `tls` and `descriptors` prepare them, and `connection` moves their
bytes between asyncio and the sans-IO core of `node.upperlayer`, within `deadlines` and `pace`, in
its `turns`. Nothing here knows a DIMSE service. Import the modules; nothing is exported here.
"""
