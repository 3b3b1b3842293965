"""Abstract and transfer syntaxes: which SOP classes there are, and in which syntax each is used."""

from collections.abc import Sequence
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
    _STORAGE_CLASSES,
    InventoryCreation,
    InventoryFind,
    InventoryGet,
    InventoryMove,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    RepositoryQuery,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
    uid_to_service_class,
)

from node.net.messages import QueryModel

MAXIMUM_CONTEXTS = 128
"""An association has at most 128 presentation contexts: odd IDs from 1 to 255 (PS3.8 9.3.2.2)."""

VERIFICATION = str(Verification)

STORAGE_CLASSES = tuple(map(str, _STORAGE_CLASSES.values()))
"""All storage SOP classes of the standard (PS3.4 B.5), without what is retired."""

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What queries are proposed in."""

READABLE = (*UNCOMPRESSED, str(ExplicitVRBigEndian))
"""What queries are answered in; the first one that was proposed and is among these."""

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
PATIENT_ROOT_FIND = str(PatientRootQueryRetrieveInformationModelFind)
"""The C-FIND of the Patient Root model (PS3.4 C.6.1)."""

REPOSITORY_QUERY = str(RepositoryQuery)
"""PS3.4 C.6.4."""

STORAGE_COMMITMENT = str(StorageCommitmentPushModel)
COMMITMENT_INSTANCE = str(StorageCommitmentPushModelInstance)
"""The Storage Commitment Push Model and its one instance, which is well known (PS3.4 J.3.5)."""

ASKED_MODELS = FIND_MODELS | {REPOSITORY_QUERY: QueryModel.REPOSITORY}
"""All that a C-FIND is answered in."""

_AMONG_STORAGE = frozenset(
    map(str, (InventoryFind, InventoryMove, InventoryGet, InventoryCreation, RepositoryQuery))
)
"""What nothing is stored by, though their UIDs are among those of the storage classes."""


class Service(Enum):
    """What an association is requested for (its abstract syntax)."""

    ECHO = VERIFICATION
    FIND = str(StudyRootQueryRetrieveInformationModelFind)
    MOVE = str(StudyRootQueryRetrieveInformationModelMove)
    GET = str(StudyRootQueryRetrieveInformationModelGet)
    REPOSITORY = REPOSITORY_QUERY
    PATIENT_FIND = PATIENT_ROOT_FIND
    COMMIT = STORAGE_COMMITMENT

    @property
    def operation(self) -> str:
        """Its DIMSE service (PS3.7 9.1, 10.1)."""
        if self is Service.COMMIT:
            return "N-ACTION"
        finds = {Service.REPOSITORY, Service.PATIENT_FIND}
        return f"C-{Service.FIND.name if self in finds else self.name}"

    def __str__(self) -> str:
        if self is Service.COMMIT:
            return "Storage Commitment"
        if self is Service.ECHO:
            return "Verification"
        if self is Service.REPOSITORY:
            return "Repository Query"
        return f"{'Patient' if self is Service.PATIENT_FIND else 'Study'} Root {self.operation}"


StorageContext = tuple[str, str]
"""A SOP Class UID and the transfer syntax UID of the object to be sent."""

NOBODYS: StorageContext = ("2.25.158902374651908273465190827346519", str(ImplicitVRLittleEndian))
"""Of a SOP class that nobody has: who accepts it accepts whatever is proposed."""

PROBED: tuple[StorageContext, ...] = tuple(
    (sop_class, syntax)
    for sop_class in (VERIFICATION, *FIND_MODELS, *MOVE_MODELS, *GET_MODELS, REPOSITORY_QUERY)
    for syntax in (*READABLE, str(DeflatedExplicitVRLittleEndian))
)
"""What a peer is proposed to see what it accepts: each pair in a context of its own."""


def is_storage(abstract_syntax: str) -> bool:
    """Tell whether objects of this SOP class can be stored: also private and future ones."""
    if not abstract_syntax.startswith(_DICOM_ROOT):
        return bool(abstract_syntax)
    if abstract_syntax in _AMONG_STORAGE:
        return False
    return abstract_syntax.startswith(_STORAGE_ROOT) or issubclass(
        uid_to_service_class(abstract_syntax), _STORAGE_SERVICES
    )


def right_to(abstract_syntax: str) -> str:
    """Return what a SOP class lets its SCU do, in the words of `may_…`; Verification needs none."""
    if abstract_syntax in ASKED_MODELS:
        return "query"
    if abstract_syntax in MOVE_MODELS or abstract_syntax in GET_MODELS:
        return "retrieve"
    if abstract_syntax == STORAGE_COMMITMENT:
        return "commit"
    return "store" if is_storage(abstract_syntax) else ""


def choose_to_store(proposed: tuple[str, ...]) -> str | None:
    """Return the transfer syntax in which we take objects: the first one that is proposed.

    The deflated one comes last: it costs an inflation for its header, so it is taken only when it
    is all that the sender has. None when nothing is proposed.
    """
    plain = [uid for uid in proposed if uid != DeflatedExplicitVRLittleEndian]
    return next(iter(plain or proposed), None)


def choose_held(proposed: tuple[str, ...], held: Sequence[str]) -> str | None:
    """Return the transfer syntax of a context that we are to send objects in.

    Nothing is converted, so it is the first one that we hold objects in.

    Parameters
    ----------
    held
        Transfer syntaxes in which we hold objects of the class, those of most objects first.
    """
    ours = (uid for uid in held if uid in proposed)
    return next(ours, None) or choose_to_store(proposed)
