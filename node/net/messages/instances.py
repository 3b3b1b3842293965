"""What is sent, and what is said of it: objects, the plan of a C-MOVE, and its responses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.net.categories import is_pending
from node.net.messages.peers import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFile:
    """A DICOM file (PS3.10) that can be sent, and what a presentation context needs to know."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceInMemory:
    """An object without a file that can be sent.

    Attributes
    ----------
    dataset
        Makes its dataset, encoded in the transfer syntax, when it is sent: at once, without I/O.
    """

    dataset: Callable[[], bytes]
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


Instance = InstanceFile | InstanceInMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """What to answer to a C-MOVE request: which instances to send to which peer.

    Attributes
    ----------
    target
        The application entity to send to; None when the destination is unknown (0xA801).
    instances
        What is sent, in this order.
    """

    target: Peer | None
    instances: Sequence[Instance] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProgress:
    """One C-MOVE response (PS3.7 9.1.4.1.8); a count is None where the peer left it out.

    Attributes
    ----------
    status
        Pending, else the final status.
    failed_uids
        The SOP Instance UIDs that the peer says it could not send.
    comment
        The peer's Error Comment.
    """

    status: int
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    failed_uids: tuple[str, ...] = ()
    comment: str = ""

    @property
    def pending(self) -> bool:
        """Whether more responses follow."""
        return is_pending(self.status)
