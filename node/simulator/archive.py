"""The simulator's index of a folder of images: patients, studies, series and instances.

`load` reads a folder; from then on a `SimulatedArchive` is a value in memory that
answers without touching the disk. `add` is the only thing that changes it.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.dicom.querying.levels import HeldAttributes
from node.dicom.querying.question import Question
from node.simulator.hierarchy import continued, named, search
from node.simulator.instances import HeldInstance, NotAnInstanceError, read_instance

log = logging.getLogger(__name__)


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

    def matching(self, question: Question) -> Iterator[HeldAttributes]:
        """See `node.simulator.holdings.Holdings`."""
        patients = [list(patient.instances) for patient in self.patients.values()]
        return continued(question, search(question, patients))

    def named(self, question: Question) -> list[HeldInstance]:
        """See `node.simulator.holdings.Holdings`."""
        return named(question, self.instances)
