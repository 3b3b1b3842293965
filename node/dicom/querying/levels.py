"""Which attributes the simulator knows, and to which level of the hierarchy each belongs.

PS3.4 Tables C.6-1 to C.6-5. What is not listed is an unsupported optional key: it is neither
matched nor returned (PS3.4 C.2.2.1.3).
"""

from collections.abc import Mapping
from enum import IntEnum

from pydicom.datadict import tag_for_keyword

HeldAttributes = Mapping[str, tuple[str, ...]]
"""Values by DICOM keyword, as text; an attribute without a value has no entry."""


class Level(IntEnum):
    """A Query/Retrieve Level (PS3.4 C.3.1), from the top of the hierarchy down."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
"""The one key of each level that names its entity (PS3.4 C.3.1)."""

STORED = {
    Level.PATIENT: _words(
        "PatientID PatientName IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex "
        "OtherPatientIDs OtherPatientNames EthnicGroup PatientComments"
    ),
    Level.STUDY: _words(
        "StudyInstanceUID StudyDate StudyTime AccessionNumber StudyID StudyDescription "
        "ReferringPhysicianName NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription "
        "PatientAge PatientSize PatientWeight Occupation AdditionalPatientHistory"
    ),
    Level.SERIES: _words(
        "SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime "
        "BodyPartExamined Laterality ProtocolName PerformingPhysicianName OperatorsName "
        "Manufacturer ManufacturerModelName InstitutionName InstitutionalDepartmentName "
        "StationName FrameOfReferenceUID PerformedProcedureStepStartDate "
        "PerformedProcedureStepStartTime PerformedProcedureStepID "
        "PerformedProcedureStepDescription"
    ),
    Level.IMAGE: _words(
        "SOPInstanceUID SOPClassUID InstanceNumber ImageType ContentDate ContentTime "
        "AcquisitionDate AcquisitionTime AcquisitionDateTime AcquisitionNumber "
        "InstanceCreationDate InstanceCreationTime Rows Columns BitsAllocated NumberOfFrames "
        "SamplesPerPixel PhotometricInterpretation ContainerIdentifier ImageComments "
        "CompletionFlag VerificationFlag"
    ),
}
"""What is read from the files, by level."""

COMPUTED = {
    Level.PATIENT: _words(
        "NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances"
    ),
    Level.STUDY: _words(
        "ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries "
        "NumberOfStudyRelatedInstances"
    ),
    Level.SERIES: ("NumberOfSeriesRelatedInstances",),
    Level.IMAGE: ("AvailableTransferSyntaxUID",),
}
"""What is counted or collected from the entities below, by level."""

STORED_KEYWORDS = [keyword for keywords in STORED.values() for keyword in keywords]

LEVELS = {
    keyword: level
    for table in (STORED, COMPUTED)
    for level, keywords in table.items()
    for keyword in keywords
}
"""The level of every attribute that the simulator can match and return."""

TAGS: dict[str, int] = {}
for _keyword in LEVELS:
    _tag = tag_for_keyword(_keyword)
    if _tag is None:  # pragma: no cover - a misspelt keyword in the tables above
        raise LookupError(f"{_keyword} is not an attribute of the data dictionary")
    TAGS[_keyword] = _tag
