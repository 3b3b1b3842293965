"""The simulator's index of its images: patients, studies, series and instances.

`load` reads a folder; from then on a `SimulatedArchive` is a value in memory that
answers without touching the disk. `add` is the only thing that changes it.
"""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.simulator.attributes import STORED_KEYWORDS

log = logging.getLogger(__name__)

HeldAttributes = Mapping[str, tuple[str, ...]]
"""Values by DICOM keyword, as text; an attribute without a value has no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """A composite SOP instance, and the file that has it.

    Attributes
    ----------
    bare_from
        Where the dataset begins in a file that lacks the preamble, and so cannot be sent as
        it is (PS3.10 7.1); None in a proper file.
    attributes
        What can be asked about it, at all levels.
    """

    path: Path
    patient_id: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    bare_from: int | None = None
    attributes: HeldAttributes = field(repr=False)


@dataclass(slots=True, kw_only=True)
class HeldSeries:
    """A series and its instances, by SOP Instance UID."""

    uid: str
    instances: dict[str, HeldInstance] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class HeldStudy:
    """A study and its series, by Series Instance UID."""

    uid: str
    series: dict[str, HeldSeries] = field(default_factory=dict)

    @property
    def instances(self) -> Iterator[HeldInstance]:
        """All instances of all series."""
        return (i for series in self.series.values() for i in series.instances.values())


@dataclass(slots=True, kw_only=True)
class HeldPatient:
    """A patient and their studies, by Study Instance UID."""

    identifier: str
    studies: dict[str, HeldStudy] = field(default_factory=dict)

    @property
    def instances(self) -> Iterator[HeldInstance]:
        """All instances of all studies."""
        return (i for study in self.studies.values() for i in study.instances)


class NotAnInstanceError(ValueError):
    """What was read is not DICOM, or names no SOP instance (a DICOMDIR does not)."""


class SimulatedArchive:
    """An index of instances along the four levels (PS3.4 C.6).

    Attributes
    ----------
    patients
        By Patient ID; a study belongs to the patient of its first instance.
    skipped
        How many files were left out because they are not DICOM instances.
    """

    def __init__(self) -> None:
        self.patients: dict[str, HeldPatient] = {}
        self.skipped = 0
        self._studies: dict[str, tuple[HeldPatient, HeldStudy]] = {}
        self._instances: dict[str, HeldInstance] = {}
        self._syntaxes: dict[str, Counter[str]] = {}

    @classmethod
    def load(cls, folder: Path) -> "SimulatedArchive":
        """Index all DICOM files below a folder; blocks while it reads.

        Raises
        ------
        OSError
            When the folder cannot be read. A file that cannot be is skipped, and logged.
        """
        archive = cls()
        os.listdir(folder)  # walk() would pass over a folder that is not there
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                try:
                    archive.add(read_instance(Path(parent, name)))
                except (NotAnInstanceError, OSError) as error:
                    archive.skipped += 1
                    log.debug("Skipped %s: %s", Path(parent, name), error)
        return archive

    def add(self, instance: HeldInstance) -> bool:
        """Add an instance; False when its SOP Instance UID is there already."""
        if instance.sop_instance_uid in self._instances:
            return False
        self._instances[instance.sop_instance_uid] = instance
        syntaxes = self._syntaxes.setdefault(instance.sop_class_uid, Counter())
        syntaxes[instance.transfer_syntax_uid] += 1
        if instance.study_uid in self._studies:
            _, study = self._studies[instance.study_uid]
        else:
            patient = self.patients.setdefault(
                instance.patient_id, HeldPatient(identifier=instance.patient_id)
            )
            study = HeldStudy(uid=instance.study_uid)
            patient.studies[study.uid] = study
            self._studies[study.uid] = (patient, study)
        series = study.series.setdefault(instance.series_uid, HeldSeries(uid=instance.series_uid))
        series.instances[instance.sop_instance_uid] = instance
        return True

    def transfer_syntaxes(self, sop_class_uid: str) -> list[str]:
        """Return those of a SOP class's instances, those of most instances first."""
        return [uid for uid, _ in self._syntaxes.get(sop_class_uid, Counter()).most_common()]

    def __len__(self) -> int:
        return len(self._instances)

    def __contains__(self, sop_instance_uid: object) -> bool:
        return sop_instance_uid in self._instances

    @property
    def instances(self) -> Iterator[HeldInstance]:
        """All instances, in the order in which they were added."""
        return iter(self._instances.values())

    @property
    def studies(self) -> list[HeldStudy]:
        """All studies, in the order in which their first instances were added."""
        return [study for _, study in self._studies.values()]


def read_instance(path: Path) -> HeldInstance:
    """Read from a file what the index has to know; with and without a preamble.

    Raises
    ------
    NotAnInstanceError
        When it is not DICOM, or lacks one of the UIDs that place it in the hierarchy.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(132)
        file.seek(0)
        return describe(file, path, bare_from=_bare_from(head))


def _bare_from(head: bytes) -> int | None:
    if head[128:] == b"DICM":
        return None
    if head[:8] == b"\x02\x00\x00\x00UL\x04\x00":  # the File Meta Information's group length
        return 12 + int.from_bytes(head[8:12], "little")
    return 0


def describe(file: BinaryIO, path: Path, *, bare_from: int | None = None) -> HeldInstance:
    """Return the instance in an open file, as one that is at `path`.

    Parameters
    ----------
    bare_from
        See `HeldInstance`.

    Raises
    ------
    NotAnInstanceError
        See `read_instance`.
    """
    wanted = ["SpecificCharacterSet", *STORED_KEYWORDS]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # malformed values are answered as they are
            dataset = dcmread(
                file,
                stop_before_pixels=True,
                force=bare_from is not None,
                specific_tags=list(wanted),
            )
            attributes = _attributes(dataset)
    except OSError:
        raise
    except Exception as error:  # the parser's exceptions have no common base
        raise NotAnInstanceError(f"it cannot be parsed ({type(error).__name__})") from error
    unique = [_first(attributes, f"{name}InstanceUID") for name in ("Study", "Series", "SOP")]
    sop_class_uid = _first(attributes, "SOPClassUID")
    if not all(unique) or not sop_class_uid:
        raise NotAnInstanceError("it names no study, series and SOP instance")
    return HeldInstance(
        path=path,
        patient_id=_first(attributes, "PatientID"),
        study_uid=unique[0],
        series_uid=unique[1],
        sop_instance_uid=unique[2],
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=str(_transfer_syntax(dataset)),
        bare_from=bare_from,
        attributes=attributes,
    )


def _transfer_syntax(dataset: FileDataset) -> UID:
    """Return what the file says, or what the parser found where it says nothing."""
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return UID(named)
    return ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian


def _attributes(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    attributes = {}
    for keyword in STORED_KEYWORDS:
        if keyword not in dataset:
            continue
        element = dataset[keyword]
        values: Any = element.value if isinstance(element.value, MultiValue) else [element.value]
        texts = tuple("" if value is None else str(value).rstrip("\0 ") for value in values)
        if any(texts):
            attributes[keyword] = texts
    return attributes


def _first(attributes: HeldAttributes, keyword: str) -> str:
    return attributes.get(keyword, ("",))[0].strip()
