"""The DICOM upper layer and DIMSE without any I/O (PS3.8 section 9, PS3.7).

Bytes and requests go in, bytes and events come out: no sockets, no clock, no threads.
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
