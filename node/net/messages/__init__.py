"""What crosses the border between the network and the rest of the node.

Requests that came in, answers that go out, and peers: values only. Nothing here knows
PDUs, sockets or threads, and nothing outside `node.net` knows them either. Import from here.
"""

from node.dicom.querying.model import IdentifierMismatch, QueryModel
from node.net.messages.handlers import (
    CommitHandler,
    Conduct,
    Conducted,
    EndOfAnswers,
    FindHandler,
    GetHandler,
    MoveHandler,
    ReportHandler,
    Services,
    StoreHandler,
    StoreSink,
)
from node.net.messages.instances import (
    Convert,
    GetPlan,
    Instance,
    InstanceFile,
    InstanceInMemory,
    InstanceMissing,
    MovePlan,
    MoveProgress,
    RetrievalMeans,
    RetrievalRefused,
    SentParts,
    Turn,
)
from node.net.messages.peers import (
    Caller,
    Implementation,
    Peer,
    Timeouts,
)
from node.net.messages.requests import (
    CommitRequest,
    FindRequest,
    GetRequest,
    MoveRequest,
    Originator,
    ReportLine,
    ReportRequest,
    StoreRequest,
)

__all__ = [
    "Caller",
    "CommitHandler",
    "CommitRequest",
    "Conduct",
    "Conducted",
    "Convert",
    "EndOfAnswers",
    "FindHandler",
    "FindRequest",
    "GetHandler",
    "GetPlan",
    "GetRequest",
    "IdentifierMismatch",
    "Implementation",
    "Instance",
    "InstanceFile",
    "InstanceInMemory",
    "InstanceMissing",
    "MoveHandler",
    "MovePlan",
    "MoveProgress",
    "MoveRequest",
    "Originator",
    "Peer",
    "QueryModel",
    "ReportHandler",
    "ReportLine",
    "ReportRequest",
    "RetrievalMeans",
    "RetrievalRefused",
    "SentParts",
    "Services",
    "StoreHandler",
    "StoreRequest",
    "StoreSink",
    "Timeouts",
    "Turn",
]
