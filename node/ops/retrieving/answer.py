"""What came of asking a peer for images, as far as the peer says, and as far as we took them."""

from dataclasses import dataclass

from node.errors import NodeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the peer answered to all requests together; only the index can tell what is here.

    Attributes
    ----------
    requests
        How many were put.
    status
        The DIMSE status of the last response (PS3.4 C.4.2.1.5, C.4.3.1.4); of several requests
        that of the last one without Success, where there is one. None where none came, and over
        HTTP.
    comment
        The peer's words to it: Error Comment (0000,0902), or the status of HTTP; not harmless yet.
    completed, failed, warning, remaining
        Sub-operations, summed over the requests; None where the peer never said. Over HTTP these
        are the objects of its answers.
    failed_uids
        The SOP Instance UIDs that the peer names as failed, or that were not taken here.
    refused
        What could not be agreed upon for them in a C-GET: SOP classes, and transfer syntaxes of
        them, by name.
    arrived, bytes
        What we have taken ourselves, and acknowledged, in C-GET and WADO-RS: objects, and the bytes
        of all datasets, also of those that were not taken. None in C-MOVE.
    error
        Why it is not all, or may not be; None where the peer reported success. Of several errors
        the one that ended it, else the first.
    """

    requests: int = 0
    status: int | None = None
    comment: str = ""
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    failed_uids: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    arrived: int | None = None
    bytes: int | None = None
    error: NodeError | None = None
