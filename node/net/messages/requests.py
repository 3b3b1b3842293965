"""Requests that came in (PS3.7 section 9)."""

from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from node.dicom.commitment import CommitmentReport, CommitmentRequest
from node.dicom.querying.model import QueryModel
from node.net.messages.peers import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A C-STORE request (PS3.7 9.1.1).

    Attributes
    ----------
    sop_class_uid, sop_instance_uid
        As the command names them; the dataset may disagree.
    transfer_syntax_uid
        Of the presentation context, hence of the dataset.
    originator
        The AE title that asked for the C-MOVE of which it is a sub-operation (PS3.7 9.1.1.1.6);
        "" where the sender does not say so.
    """

    caller: Caller
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    originator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRequest:
    """A C-FIND request (PS3.7 9.1.2); the level is in the identifier.

    Attributes
    ----------
    transfer_syntax_uid
        Of the presentation context, hence of the identifiers that answer it.
    relational, combined
        Whether relational queries, and the combined matching of date and time, were negotiated
        (PS3.4 C.5.1.1).
    """

    caller: Caller
    model: QueryModel
    identifier: Dataset
    transfer_syntax_uid: str
    relational: bool = False
    combined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    """A C-MOVE request (PS3.7 9.1.4).

    Attributes
    ----------
    relational
        Whether relational retrieval was negotiated (PS3.4 C.5.2.1). Likewise of a C-GET.
    """

    caller: Caller
    model: QueryModel
    identifier: Dataset
    destination: str
    relational: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRequest:
    """A C-GET request (PS3.7 9.1.3)."""

    caller: Caller
    model: QueryModel
    identifier: Dataset
    relational: bool = False


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for the C-MOVE of which a C-STORE is a sub-operation (PS3.7 9.1.1.1.6, 7)."""

    aetitle: str
    message_id: int


class ReportLine(Protocol):
    """The association over which storage commitment was asked for: its report may go back there."""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long; return whether it has come."""

    async def report(self, report: CommitmentReport) -> int | None:
        """Report over it, and return the status of the answer; None when there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """A request for storage commitment: an N-ACTION (PS3.7 10.1.4, PS3.4 J.3.2)."""

    caller: Caller
    request: CommitmentRequest
    line: ReportLine


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What came of a request of ours: an N-EVENT-REPORT (PS3.7 10.1.1, PS3.4 J.3.3)."""

    caller: Caller
    report: CommitmentReport
