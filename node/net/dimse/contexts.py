"""Presentation contexts: what we propose as a requestor, and what we take as an acceptor.

An acceptor takes every storage SOP class, private and unknown ones included, in every
transfer syntax (the object is kept as it comes); a requestor proposes only what it needs.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.service_class import (
    NonPatientObjectStorageServiceClass,
    StorageServiceClass,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
    uid_to_service_class,
)

from node.net.messages import QueryModel
from node.upperlayer import ProposedContext

MAXIMUM_CONTEXTS = 128
"""An association has at most 128 presentation contexts: odd IDs from 1 to 255 (PS3.8 9.3.2.2)."""

VERIFICATION = str(Verification)

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What queries are proposed in."""

_READABLE = (*UNCOMPRESSED, str(ExplicitVRBigEndian))
"""What queries are answered in; the first of these that was proposed."""

_DICOM_ROOT = "1.2.840.10008."
_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
_STORAGE_SERVICES = (StorageServiceClass, NonPatientObjectStorageServiceClass)

FIND_MODELS = {
    str(PatientRootQueryRetrieveInformationModelFind): QueryModel.PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelFind): QueryModel.STUDY_ROOT,
}
MOVE_MODELS = {
    str(PatientRootQueryRetrieveInformationModelMove): QueryModel.PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelMove): QueryModel.STUDY_ROOT,
}
GET_MODELS = {
    str(PatientRootQueryRetrieveInformationModelGet): QueryModel.PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelGet): QueryModel.STUDY_ROOT,
}


class Service(Enum):
    """What an association is requested for (its abstract syntax)."""

    ECHO = VERIFICATION
    FIND = str(StudyRootQueryRetrieveInformationModelFind)
    MOVE = str(StudyRootQueryRetrieveInformationModelMove)
    GET = str(StudyRootQueryRetrieveInformationModelGet)

    @property
    def operation(self) -> str:
        """Its DIMSE service (PS3.7 9.1)."""
        return f"C-{self.name}"

    def __str__(self) -> str:
        return "Verification" if self is Service.ECHO else f"Study Root {self.operation}"


StorageContext = tuple[str, str]
"""A SOP Class UID and the transfer syntax UID of the object to be sent."""


def to_request(
    services: Iterable[Service], storage: Iterable[StorageContext] = ()
) -> tuple[ProposedContext, ...]:
    """Return the presentation contexts to propose.

    Each storage pair has a context of its own, so that the peer's answer is for exactly that
    transfer syntax and nothing is ever converted.
    """
    wanted: list[tuple[str, tuple[str, ...]]] = [
        (service.value, UNCOMPRESSED) for service in services
    ]
    wanted += [(sop_class, (syntax,)) for sop_class, syntax in sorted(set(storage))]
    if len(wanted) > MAXIMUM_CONTEXTS:
        raise ValueError(f"{len(wanted)} presentation contexts; an association has at most 128")
    return tuple(
        ProposedContext(id=2 * number + 1, abstract_syntax=abstract, transfer_syntaxes=syntaxes)
        for number, (abstract, syntaxes) in enumerate(wanted)
    )


def is_storage(abstract_syntax: str) -> bool:
    """Tell whether objects of this SOP class can be stored: also private and future ones."""
    if not abstract_syntax.startswith(_DICOM_ROOT):
        return bool(abstract_syntax)
    return abstract_syntax.startswith(_STORAGE_ROOT) or issubclass(
        uid_to_service_class(abstract_syntax), _STORAGE_SERVICES
    )


def choose_transfer_syntax(abstract_syntax: str, proposed: tuple[str, ...]) -> str | None:
    """Return the transfer syntax in which we take a context; None when there is none.

    A storage class is taken in the first one that is proposed. The deflated one comes last:
    it costs an inflation for its header, so it is taken only when it is all that the sender
    has. Other classes need one that we can read.
    """
    if is_storage(abstract_syntax):
        plain = [uid for uid in proposed if uid != DeflatedExplicitVRLittleEndian]
        return next(iter(plain or proposed), None)
    return next((uid for uid in proposed if uid in _READABLE), None)


def choose_held(abstract_syntax: str, proposed: tuple[str, ...], held: Sequence[str]) -> str | None:
    """Return the transfer syntax in which we take a context that we are to send objects in.

    Nothing is converted, so it is the first one that we hold objects in.

    Parameters
    ----------
    held
        Transfer syntaxes in which we hold objects of the class, those of most objects first.
    """
    ours = (uid for uid in held if uid in proposed)
    return next(ours, None) or choose_transfer_syntax(abstract_syntax, proposed)
