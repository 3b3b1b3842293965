"""Presentation contexts: what we propose as a requestor, and what we take as an acceptor.

An acceptor takes every storage SOP class, private and unknown ones included, in every
transfer syntax (the object is kept as it comes); a requestor proposes only what it needs.
"""

from collections.abc import Iterable
from enum import Enum

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from node.net.messages import QueryModel

MAXIMUM_CONTEXTS = 128
"""An association has at most 128 presentation contexts: odd IDs from 1 to 255 (PS3.8 9.3.2.2)."""

UNCOMPRESSED: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]

FIND_MODELS = {
    str(PatientRootQueryRetrieveInformationModelFind): QueryModel.PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelFind): QueryModel.STUDY_ROOT,
}
MOVE_MODELS = {
    str(PatientRootQueryRetrieveInformationModelMove): QueryModel.PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelMove): QueryModel.STUDY_ROOT,
}


class Service(Enum):
    """What an association is requested for (its abstract syntax)."""

    ECHO = str(Verification)
    FIND = str(StudyRootQueryRetrieveInformationModelFind)
    MOVE = str(StudyRootQueryRetrieveInformationModelMove)

    def __str__(self) -> str:
        return {"ECHO": "Verification", "FIND": "Study Root C-FIND", "MOVE": "Study Root C-MOVE"}[
            self.name
        ]


StorageContext = tuple[str, str]
"""A SOP Class UID and the transfer syntax UID of the object to be sent."""


def to_request(
    services: Iterable[Service], storage: Iterable[StorageContext] = ()
) -> list[PresentationContext]:
    """Return the presentation contexts to propose.

    Each storage pair has a context of its own, so that the peer's answer is for exactly that
    transfer syntax and nothing is ever converted.
    """
    contexts = [build_context(service.value, UNCOMPRESSED) for service in services]
    contexts += [build_context(sop_class, [syntax]) for sop_class, syntax in sorted(set(storage))]
    if len(contexts) > MAXIMUM_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts; an association has at most 128")
    return contexts


def to_accept(*, find: bool, move: bool) -> list[PresentationContext]:
    """Return the contexts that an acceptor offers beside storage."""
    uids = [str(Verification)]
    uids += FIND_MODELS if find else ()
    uids += MOVE_MODELS if move else ()
    return [build_context(uid, UNCOMPRESSED) for uid in uids]


def prefer_plain_syntaxes(proposal: A_ASSOCIATE) -> None:
    """Put the deflated transfer syntax last in every proposed context.

    The acceptor takes the first transfer syntax that is proposed for a storage class; a
    deflated dataset costs an inflation for its header, so it is taken only when it is all
    that the sender has.
    """
    for context in proposal.presentation_context_definition_list:
        context.transfer_syntax = sorted(
            context.transfer_syntax, key=lambda uid: uid == DeflatedExplicitVRLittleEndian
        )
