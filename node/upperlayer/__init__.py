"""The DICOM upper layer and DIMSE without any I/O (PS3.8 section 9, PS3.7).

Bytes and requests go in, bytes and events come out: no sockets, no clock, no threads.

The way through: `association` is one association. Its `incoming` bytes become PDUs (`framing`,
`associate_pdus`), which its `machine` takes through the standard's table (`states`); what they
carry becomes `messages`, and all this `events` for its user. `associate` has the values of a
proposal and its answer, and `negotiation` what an acceptor answers; `dimse` the commands. `sending`
cuts what is sent, `aborts` says what an A-ABORT means, `errors` what is raised.

What everybody needs is exported here; `events`, `associate`, `dimse`, `framing` and `negotiation`
have what else `node.net` and the simulator import.
"""

from node.upperlayer.associate import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Rejection,
    RoleSelection,
    UserInformation,
)
from node.upperlayer.association import Association
from node.upperlayer.dimse import Command, CommandField, response_to
from node.upperlayer.errors import InvalidCommand, InvalidPDU, LocalMistake
from node.upperlayer.states import Role, State

__all__ = [
    "AssociateAccept",
    "AssociateRequest",
    "Association",
    "Command",
    "CommandField",
    "ContextResult",
    "InvalidCommand",
    "InvalidPDU",
    "LocalMistake",
    "ProposedContext",
    "Rejection",
    "Role",
    "RoleSelection",
    "State",
    "UserInformation",
    "response_to",
]
