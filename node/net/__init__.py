"""The DICOM network: associations that we accept and associations that we request.

Sockets, TLS, deadlines and limits over the sans-IO core of `node.upperlayer`, in one asyncio event
loop. What is in it, each importing only what stands below it:

- `door`: servers written with pynetdicom, on this transport;
- `scp`: the acceptor's role, one module for each DIMSE service that we answer;
- `scu`: the requestor's role, one method for each DIMSE service that we ask for;
- `qido`: searches at DICOMweb services, over HTTP, in the place of C-FIND;
- `wado`: retrievals there, in the place of C-MOVE and C-GET;
- `entity`: the application entity (`pynetdicom.AE`), made from the configuration;
- `dimse`: messages put together, identifiers, datasets that are sent, presentation contexts;
- `messages`: the values in which the rest of the node speaks to the network;
- `categories`: what kind of status a value is, and what it means;
- `transport`: connections, deadlines, TLS, listening ports;
- `webhook`: one HTTP POST, for those who are told of events.

The way in: `transport.listener` takes a connection, `scp.visit` opens it and negotiates,
`scp.session` serves the association, and `scp.answers` says which service answers what. The way
out: `scu.requestor.associate` opens an association, whose `scu.service_user` asks.

Outside, `messages`, `categories`, `entity`, `dimse.contexts`, `dimse.sinks`, `scp.acceptor`,
`scp.access`, `scp.limits`, `qido.line`, `qido.place`, `wado.line`, `wado.objects`,
`scu.requestor`, `scu.own_certificate`, `transport.tls`, `transport.reachable` and `webhook` are
imported. Nothing but `serve` and `Server` is exported here, and they are loaded when they are asked
for, so that a command without a network does not load one. This is the only package that knows the
network library, and the one for HTTP. The first one's application entity
describes ours, and its SOP classes, codec and status tables are used; its transport is not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from node.net.door.serving import Server, serve

__all__ = ["Server", "serve"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of a module
    """Load the door when it is asked for: no command needs it."""
    if name in __all__:
        from node.net.door import serving  # noqa: PLC0415 - it takes time

        return getattr(serving, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
