"""Which status values each service sends as an SCP, and tells apart as an SCU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.dicom.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUse:
    """What becomes of status values in a service.

    Attributes
    ----------
    sent
        By the node, as the SCP.
    simulated
        By the simulator, and not by the node.
    read
        Of a peer's, told apart from others by the node, as the SCU.
    """

    sent: frozenset[Status]
    simulated: frozenset[Status] = frozenset()
    read: frozenset[Status] = frozenset()


_ASKED = {
    Status.SOP_CLASS_NOT_SUPPORTED,
    Status.SUCCESS,
    Status.PENDING,
    Status.CANCEL,
    Status.OUT_OF_RESOURCES,
    Status.DATASET_MISMATCH,
    Status.UNABLE_TO_PROCESS,
}
_RETRIEVED = (_ASKED - {Status.OUT_OF_RESOURCES}) | {
    Status.UNABLE_TO_COUNT_MATCHES,
    Status.UNABLE_TO_PERFORM_SUBOPERATIONS,
    Status.SUBOPERATIONS_WITH_FAILURES,
}
_RETRIEVED_FROM = {
    Status.SUCCESS,
    Status.PENDING,
    Status.CANCEL,
    Status.UNABLE_TO_COUNT_MATCHES,
    Status.UNABLE_TO_PERFORM_SUBOPERATIONS,
    Status.SUBOPERATIONS_WITH_FAILURES,
}

USES: Mapping[str, StatusUse] = {
    "C-ECHO": StatusUse(
        sent=frozenset({Status.SUCCESS, Status.SOP_CLASS_NOT_SUPPORTED}),
        read=frozenset({Status.SUCCESS}),
    ),
    "C-STORE": StatusUse(
        sent=frozenset(
            {
                Status.SOP_CLASS_NOT_SUPPORTED,
                Status.SUCCESS,
                Status.PROCESSING_FAILURE,
                Status.OUT_OF_RESOURCES,
                Status.KEPT_APART,
            }
        ),
        simulated=frozenset({Status.DATASET_MISMATCH, Status.UNABLE_TO_PROCESS}),
        read=frozenset(
            {
                Status.SUCCESS,
                Status.KEPT_APART,
                Status.OUT_OF_RESOURCES,
                Status.DATASET_MISMATCH,
                Status.UNABLE_TO_PROCESS,
            }
        ),
    ),
    "C-FIND": StatusUse(
        sent=frozenset({*_ASKED, Status.INVALID_PRIOR_RECORD_KEY, Status.RESPONSE_LIMIT}),
        read=frozenset(
            {
                Status.SUCCESS,
                Status.PENDING,
                Status.PENDING_WARNING,
                Status.CANCEL,
                Status.RESPONSE_LIMIT,
                Status.INVALID_PRIOR_RECORD_KEY,
            }
        ),
    ),
    "C-MOVE": StatusUse(
        sent=frozenset({*_RETRIEVED, Status.MOVE_DESTINATION_UNKNOWN}),
        read=frozenset({*_RETRIEVED_FROM, Status.MOVE_DESTINATION_UNKNOWN}),
    ),
    "C-GET": StatusUse(sent=frozenset(_RETRIEVED), read=frozenset(_RETRIEVED_FROM)),
    "N-ACTION": StatusUse(
        sent=frozenset(
            {
                Status.SUCCESS,
                Status.PROCESSING_FAILURE,
                Status.NO_SUCH_INSTANCE,
                Status.INVALID_ARGUMENT,
                Status.NO_SUCH_CLASS,
                Status.NO_SUCH_ACTION,
                Status.DUPLICATE_TRANSACTION,
            }
        ),
        read=frozenset({Status.SUCCESS}),
    ),
    "N-EVENT-REPORT": StatusUse(
        sent=frozenset(
            {
                Status.SUCCESS,
                Status.PROCESSING_FAILURE,
                Status.NO_SUCH_INSTANCE,
                Status.NO_SUCH_EVENT_TYPE,
                Status.INVALID_ARGUMENT,
                Status.NO_SUCH_CLASS,
            }
        ),
        read=frozenset({Status.SUCCESS}),
    ),
    "Failure Reason": StatusUse(
        sent=frozenset(
            {
                Status.PROCESSING_FAILURE,
                Status.NO_SUCH_INSTANCE,
                Status.CLASS_INSTANCE_CONFLICT,
            }
        ),
    ),
    "Any other": StatusUse(sent=frozenset({Status.UNRECOGNIZED_OPERATION})),
}
