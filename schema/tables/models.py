"""The tables of what was found and what was received, as SQLAlchemy classes.

A found study (`StudyFind`) is what a PACS says it has. A received image (`Image`) is what is
here, under its `Series`, `Study` and `Patient`. `Image` repeats the most useful attributes
of all four levels, so that a dataset is one SELECT.

Columns have pythonic names; the DICOM keyword of the same attribute is a synonym that works
in `select` too: `Study.study_uid` and `Study.StudyInstanceUID` are one. A synchronous session
loads relationships when they are looked at; an asynchronous one cannot, and raises
`NotLoaded`: name what you need, `select(Study).options(selectinload(Study.series))`.
"""

from datetime import datetime, time
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    false,
    select,
    text,
)
from sqlalchemy.orm import (
    InstrumentedAttribute,
    Mapped,
    Synonym,
    mapped_column,
    relationship,
    synonym,
)

from schema.tables.columns import Base, EncodedJSON, IndexedText, keyword_column, utcnow
from schema.tables.contents import Contents
from schema.tables.dates import DicomDate
from schema.tables.finders import ByIdentifier, ByUID
from schema.tables.views import project_members

PENDING = "pending"
MOVING = "moving"
SETTLING = "settling"
PARTIAL = "partial"
RETRIEVED = "retrieved"
EMPTY = "empty"
FAILED = "failed"
HELD = "held"
UNWANTED = "unwanted"
GONE = "gone"

ANY_LENGTH = "hash"
"""How a text is indexed of which all is kept: an entry of a B-tree (`IndexedText`) has an end."""


class StudyFind(ByUID, Base):
    """A study that a remote PACS has, as its C-FIND responses describe it.

    Attributes
    ----------
    retrieved_on
        When the study was verified to be complete here; NULL until then.
    peer
        The configured name of the PACS that last answered it.
    modalities
        Modalities in Study (0008,0061), joined by a backslash.
    expected_series, expected_images
        The PACS's own counts (0020,1206), (0020,1208); NULL when it gives none.
    evidence
        listed, counted or stable: what it rests on that it is complete, the weakest of its PACSs'.
    state
        pending, moving, settling, partial, retrieved, empty, failed, held, unwanted or gone:
        see `schema.standing.states`.
    attempts, next_attempt_on, last_error
        How often the study was asked for, when to ask again, and what went wrong.
    priority
        Studies with a higher one are moved first.
    held_on, held_reason
        Since when an operator does not want it to be asked for anywhere, and why, in words.
    policy
        The policy under which it is complete; NULL where all that its PACSs have is here.
    """

    __tablename__ = "studies_find"
    _shown = ("id", "study_uid", "state")

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_name: Mapped[str | None] = mapped_column(Text)
    patient_id: Mapped[str | None] = mapped_column(Text)
    study_uid: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    study_date: Mapped[datetime | None] = mapped_column(DicomDate)
    accession_number: Mapped[str | None] = mapped_column(Text)
    retrieved_on: Mapped[datetime | None]
    found_on: Mapped[datetime | None] = mapped_column(default=utcnow)
    peer: Mapped[str | None] = mapped_column(Text)
    modalities: Mapped[str | None] = mapped_column(Text)
    study_description: Mapped[str | None] = mapped_column(Text)
    expected_series: Mapped[int | None]
    expected_images: Mapped[int | None]
    state: Mapped[str] = mapped_column(IndexedText, default=PENDING, server_default=PENDING)
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    next_attempt_on: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    last_seen_on: Mapped[datetime | None] = mapped_column(default=utcnow)
    updated_on: Mapped[datetime | None] = mapped_column(default=utcnow)
    evidence: Mapped[str | None] = mapped_column(Text)
    held_on: Mapped[datetime | None]
    held_reason: Mapped[str | None] = mapped_column(Text)
    policy: Mapped[str | None] = mapped_column(Text)

    study: Mapped["Study | None"] = relationship(back_populates="study_find")

    PatientName: Synonym[str | None] = synonym("patient_name")
    PatientID: Synonym[str | None] = synonym("patient_id")
    StudyInstanceUID: Synonym[str] = synonym("study_uid")
    StudyDate: Synonym[datetime | None] = synonym("study_date")
    AccessionNumber: Synonym[str | None] = synonym("accession_number")
    ModalitiesInStudy: Synonym[str | None] = synonym("modalities")
    StudyDescription: Synonym[str | None] = synonym("study_description")
    NumberOfStudyRelatedSeries: Synonym[int | None] = synonym("expected_series")
    NumberOfStudyRelatedInstances: Synonym[int | None] = synonym("expected_images")

    __table_args__ = (
        Index("ix_studies_find_accession_number", "accession_number", postgresql_using=ANY_LENGTH),
        Index("ix_studies_find_patient_id", "patient_id", postgresql_using=ANY_LENGTH),
        Index("ix_studies_find_state_retrieved_on", "state", "retrieved_on"),
    )

    @classmethod
    def _uid(cls) -> InstrumentedAttribute[str]:
        return cls.study_uid


class Patient(ByIdentifier, Base):
    """A patient, as one institution identifies them (Patient ID (0010,0020))."""

    __tablename__ = "patients"
    __table_args__ = (UniqueConstraint("patient_id", "institution"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(IndexedText, default="", server_default="")
    patient_name: Mapped[str | None] = mapped_column(Text)
    patient_birth_date: Mapped[datetime | None] = mapped_column(DicomDate)
    institution: Mapped[str] = mapped_column(IndexedText, default="", server_default="")

    studies: Mapped[list["Study"]] = relationship(back_populates="patient")

    PatientID: Synonym[str] = synonym("patient_id")
    PatientName: Synonym[str | None] = synonym("patient_name")
    PatientBirthDate: Synonym[datetime | None] = synonym("patient_birth_date")
    InstitutionName: Synonym[str] = synonym("institution")

    PatientIdentifier: Synonym[str] = synonym("patient_id")
    patient_identifier: Synonym[str] = synonym("patient_id")
    Studies: Synonym[list["Study"]] = synonym("studies")

    @classmethod
    def _in_project(cls, project_id: int) -> ColumnElement[bool]:
        named = select(project_members.c.study_uid).where(
            project_members.c.project_id == project_id
        )
        return cls.studies.any(Study.study_uid.in_(named))


class Study(ByUID, Base):
    """A study of which at least one image was received.

    Attributes
    ----------
    study_find_id
        What a PACS said about it; NULL when it came without having been found.
    patient_name, patient_birth_date
        As the study's first image has them; the row of `patients` has those of the first image of
        all that came with the Patient ID, which may be of another person.
    one_person
        Whether all its images have that name and that birth date; False also when nobody knows.
    patient_age
        Whole years (0010,1010); -1 when absent or not understood.
    """

    __tablename__ = "studies"
    __table_args__ = (
        Index("ix_studies_accession_number", "accession_number", postgresql_using=ANY_LENGTH),
        Index("ix_studies_study_date", "study_date"),
        Index("ix_studies_patient_birth_date", "patient_birth_date"),
    )
    _shown = ("id", "study_uid")

    id: Mapped[int] = mapped_column(primary_key=True)
    study_find_id: Mapped[int | None] = mapped_column(ForeignKey("studies_find.id"), index=True)
    patient_id: Mapped[int | None] = mapped_column(ForeignKey("patients.id"), index=True)
    study_uid: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    study_date: Mapped[datetime | None] = mapped_column(DicomDate)
    patient_age: Mapped[int | None] = mapped_column(default=-1)
    accession_number: Mapped[str | None] = mapped_column(Text)
    patient_name: Mapped[str | None] = mapped_column(Text)
    patient_birth_date: Mapped[datetime | None] = mapped_column(DicomDate)
    one_person: Mapped[bool] = mapped_column(default=False, server_default=false())

    study_find: Mapped[StudyFind | None] = relationship(back_populates="study")
    patient: Mapped[Patient | None] = relationship(back_populates="studies")
    series: Mapped[list["_Series"]] = relationship("Series", back_populates="study")

    StudyInstanceUID: Synonym[str] = synonym("study_uid")
    StudyDate: Synonym[datetime | None] = synonym("study_date")
    PatientAge: Synonym[int | None] = synonym("patient_age")
    AccessionNumber: Synonym[str | None] = synonym("accession_number")
    PatientName: Synonym[str | None] = synonym("patient_name")
    PatientBirthDate: Synonym[datetime | None] = synonym("patient_birth_date")
    Series: Synonym[list["_Series"]] = synonym("series")

    @classmethod
    def _uid(cls) -> InstrumentedAttribute[str]:
        return cls.study_uid


# whoever looks for a person looks at these as well
Index(
    "ix_studies_several_persons",
    Study.one_person,
    sqlite_where=Study.one_person.is_(false()),
    postgresql_where=Study.one_person.is_(false()),
)


class Series(ByUID, Base):
    """A series of which at least one image was received."""

    __tablename__ = "series"
    _shown = ("id", "series_uid", "modality")

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"), index=True)
    series_uid: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    modality: Mapped[str | None] = mapped_column(Text)

    study: Mapped[Study | None] = relationship(back_populates="series")
    images: Mapped[list["Image"]] = relationship(back_populates="series")

    SeriesInstanceUID: Synonym[str] = synonym("series_uid")
    Modality: Synonym[str | None] = synonym("modality")
    SeriesID: Synonym[int] = synonym("id")
    series_id: Synonym[int] = synonym("id")
    ImageInstances: Synonym[list["Image"]] = synonym("images")

    @classmethod
    def _uid(cls) -> InstrumentedAttribute[str]:
        return cls.series_uid


_Series = Series  # within `Study`, `Series` is an attribute


class Image(ByUID, Contents, Base):
    """A received SOP instance: what its own header says, and where its file is.

    Attributes
    ----------
    body_part_examined, patient_sex, kvp, slice_thickness, magnetic_field_strength
        As the header has them (kV, mm, T); NULL when that is no number, or absent.
    meta
        The header as DICOM JSON (PS3.18 Annex F) without bulk data.
    sha256
        Of the encoded dataset, in hexadecimal; the File Meta Information is not part of it.
    size
        Of the file, in bytes.
    received_on, source, node
        When it came (UTC), from which calling AE title, to which node's AE title.
    source_address
        The network address from which it came.
    attempt_id
        The attempt (`move_attempts`) that has brought it; NULL when nobody had asked for it.
    storage_id
        The id of the storage directory that holds the file; NULL when nobody knows, or when no
        node keeps it.
    parsed_from
        Where its file was parsed, outside the storage directory, before it was received as well
        and `filepath` became the received one's; NULL when that never was.
    flag
        Why the image's header disagrees with the study or series under which it is kept;
        NULL when it agrees.
    revision
        How often the row has named another file, or none, since it was inserted: a verification
        of the study before that is out of date.
    """

    __tablename__ = "images"
    __table_args__ = (Index("ix_images_filepath", "filepath", postgresql_using=ANY_LENGTH),)
    _shown = ("id", "image_uid", "modality")

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"), index=True)
    institution: Mapped[str | None] = mapped_column(Text)
    patient_id: Mapped[str | None] = mapped_column(IndexedText, index=True)
    patient_name, PatientName = keyword_column("patient_name", str)
    study_uid: Mapped[str | None] = mapped_column(IndexedText, index=True)
    study_date, StudyDate = keyword_column("study_date", datetime)
    series_uid, SeriesInstanceUID = keyword_column("series_uid", str)
    modality, Modality = keyword_column("modality", str)
    sop_class_uid, SOPClassUID = keyword_column("sop_class_uid", str)
    image_uid: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    acquisition_time, AcquisitionTime = keyword_column("acquisition_time", time)
    manufacturer, Manufacturer = keyword_column("manufacturer", str)
    manufacturer_model_name, ManufacturerModelName = keyword_column("manufacturer_model_name", str)
    body_part_examined, BodyPartExamined = keyword_column("body_part_examined", str)
    patient_sex, PatientSex = keyword_column("patient_sex", str)
    kvp, KVP = keyword_column("kvp", float)
    slice_thickness, SliceThickness = keyword_column("slice_thickness", float)
    magnetic_field_strength, MagneticFieldStrength = keyword_column(
        "magnetic_field_strength", float
    )
    meta: Mapped[Any | None] = mapped_column(EncodedJSON)
    filepath: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(BigInteger)
    transfer_syntax_uid: Mapped[str | None] = mapped_column(Text)
    received_on: Mapped[datetime | None]
    source: Mapped[str | None] = mapped_column(Text)
    node: Mapped[str | None] = mapped_column(Text)
    source_address: Mapped[str | None] = mapped_column(Text)
    attempt_id: Mapped[int | None]
    storage_id: Mapped[str | None] = mapped_column(Text)
    parsed_from: Mapped[str | None] = mapped_column(Text)
    flag: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    series: Mapped[Series | None] = relationship(back_populates="images")

    PatientID: Synonym[str | None] = synonym("patient_id")
    StudyInstanceUID: Synonym[str | None] = synonym("study_uid")
    SOPInstanceUID: Synonym[str] = synonym("image_uid")
    InstitutionName: Synonym[str | None] = synonym("institution")
    TransferSyntaxUID: Synonym[str | None] = synonym("transfer_syntax_uid")
    path: Synonym[str | None] = synonym("filepath")

    @classmethod
    def _uid(cls) -> InstrumentedAttribute[str]:
        return cls.image_uid


ImageInstance = Image
