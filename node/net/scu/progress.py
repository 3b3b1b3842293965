"""What responses say: how far a C-MOVE or C-GET is (PS3.7 9.1.4.1, 9.1.3.1), and why one failed."""

from node.dicom.elements import elements
from node.errors import PeerFailure
from node.net.categories import describe
from node.net.dimse.inbox import Message
from node.net.messages import MoveProgress, Peer
from node.upperlayer import Command

_FAILED_UIDS = (0x0008, 0x0058)
"""Failed SOP Instance UID List."""


def progress_of(response: Message, syntax: str) -> MoveProgress:
    """Return a response's status and counts; `syntax` is the context's transfer syntax."""
    command = response.command
    return MoveProgress(
        status=int(command.status or 0),
        remaining=command.remaining,
        completed=command.completed,
        failed=command.failed,
        warning=command.warning,
        failed_uids=_failed_uids(response.dataset, syntax),
        comment=command.error_comment or "",
    )


def _failed_uids(encoded: bytes | None, syntax: str) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2), of any shape that peers send."""
    if not encoded:
        return ()
    for element in elements(encoded, syntax):
        if element.depth:
            continue
        if element.tag == _FAILED_UIDS and element.length is not None:
            value = encoded[element.offset : element.offset + element.length].decode("latin-1")
            uids = (uid.strip(" \0") for uid in value.split("\\"))
            return tuple(uid for uid in uids if uid)
        if element.tag >= _FAILED_UIDS:
            break
    return ()


def failure_of(peer: Peer, operation: str, command: Command) -> PeerFailure:
    """Return the error of an operation that ended with a failure status, in the peer's words."""
    comment = (command.error_comment or "").strip()
    said = f": {comment}" if comment else ""
    status = command.status or 0
    return PeerFailure(
        f"{peer.name} answered the {operation} with {describe(status)}{said}",
        status=status,
        comment=comment,
    )
