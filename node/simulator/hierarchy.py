"""The hierarchical search of PS3.4 C.4.1.3.1 among instances, pure.

`search` walks the levels from the patients down to the one that is asked for; `named` picks the
instances that the unique keys of a C-MOVE or a C-GET name (C.4.2.2.1, C.4.3.2.1).
"""

from collections.abc import Iterable, Iterator, Sequence

from node.dicom.querying.levels import LEVELS, STORED, UNIQUE_KEYS, HeldAttributes, Level
from node.dicom.querying.matching import matches_all
from node.dicom.querying.question import Question
from node.dicom.status import Status
from node.net.messages import EndOfAnswers
from node.simulator.instances import HeldInstance

_PERSON = frozenset(STORED[Level.PATIENT]) - {UNIQUE_KEYS[Level.PATIENT]}
"""What tells who a patient is, beside the Patient ID."""


def search(
    question: Question, patients: Iterable[Sequence[HeldInstance]]
) -> Iterator[HeldAttributes]:
    """Yield what is known of each entity that matches, its ancestors' attributes included.

    Parameters
    ----------
    patients
        The instances of each patient.
    """
    return _search(question, Level.PATIENT, patients, {})


def continued(question: Question, entities: Iterator[HeldAttributes]) -> Iterator[HeldAttributes]:
    """Yield what comes after the entity that a Prior Record Key is of (PS3.4 C.6.4.5.3).

    Raises
    ------
    EndOfAnswers
        There is none.
    """
    unique = (question.after,)
    if question.after and not any(
        entity.get(UNIQUE_KEYS[question.level]) == unique for entity in entities
    ):
        raise EndOfAnswers(Status.INVALID_PRIOR_RECORD_KEY)
    yield from entities


def named(question: Question, instances: Iterable[HeldInstance]) -> list[HeldInstance]:
    """Return the instances that a retrieval's unique keys name, in their order."""
    wanted = {
        keyword: set(values)
        for keyword, values in question.keys.items()
        if keyword in UNIQUE_KEYS.values() and question.root <= LEVELS[keyword] <= question.level
    }
    return [i for i in instances if all(_unique(i, k) in v for k, v in wanted.items())]


def _unique(instance: HeldInstance, keyword: str) -> str:
    return {
        "PatientID": instance.patient_id,
        "StudyInstanceUID": instance.study_uid,
        "SeriesInstanceUID": instance.series_uid,
        "SOPInstanceUID": instance.sop_instance_uid,
    }[keyword]


def _search(
    question: Question,
    level: Level,
    groups: Iterable[Sequence[HeldInstance]],
    above: HeldAttributes,
) -> Iterator[HeldAttributes]:
    for instances in groups:
        entity = {**above, **_describe(level, instances)}
        if level >= question.root and not matches_all(_keys(question, level), entity):
            continue
        if level == question.level:
            yield entity
        else:
            below = Level(level + 1)
            yield from _search(question, below, _grouped(instances, below), entity)


def _keys(question: Question, level: Level) -> dict[str, tuple[str, ...]]:
    """Return the keys to be matched at a level: who it is, at the one that is asked for alone."""
    keys = {k: v for k, v in question.keys_of(level).items() if k not in _PERSON}
    if level == question.level:
        keys |= {k: v for k, v in question.keys.items() if k in _PERSON}
    return keys


def _grouped(instances: Sequence[HeldInstance], level: Level) -> Iterable[Sequence[HeldInstance]]:
    groups: dict[str, list[HeldInstance]] = {}
    for instance in instances:
        groups.setdefault(_unique(instance, UNIQUE_KEYS[level]), []).append(instance)
    return groups.values()


def _describe(level: Level, instances: Sequence[HeldInstance]) -> HeldAttributes:
    """Return a level's attributes: those of its first instance, and what is counted below it.

    A Patient ID may be of two persons: who it is, is that of the level's first instance, too.
    """
    first = instances[0].attributes
    stored = {keyword: first[keyword] for keyword in STORED[level] if keyword in first}
    person = {keyword: first.get(keyword, ()) for keyword in _PERSON}
    return {**person, **stored, **_COMPUTE[level](instances)}


def _of_patient(instances: Sequence[HeldInstance]) -> HeldAttributes:
    return {
        "NumberOfPatientRelatedStudies": _count(i.study_uid for i in instances),
        "NumberOfPatientRelatedSeries": _count(i.series_uid for i in instances),
        "NumberOfPatientRelatedInstances": (str(len(instances)),),
    }


def _of_study(instances: Sequence[HeldInstance]) -> HeldAttributes:
    modalities = {m for i in instances for m in i.attributes.get("Modality", ())}
    return {
        "ModalitiesInStudy": tuple(sorted(modalities)),
        "SOPClassesInStudy": tuple(sorted({i.sop_class_uid for i in instances})),
        "NumberOfStudyRelatedSeries": _count(i.series_uid for i in instances),
        "NumberOfStudyRelatedInstances": (str(len(instances)),),
    }


def _of_series(instances: Sequence[HeldInstance]) -> HeldAttributes:
    return {"NumberOfSeriesRelatedInstances": (str(len(instances)),)}


def _of_image(instances: Sequence[HeldInstance]) -> HeldAttributes:
    return {"AvailableTransferSyntaxUID": (instances[0].transfer_syntax_uid,)}


def _count(values: Iterable[str]) -> tuple[str]:
    return (str(len(set(values))),)


_COMPUTE = {
    Level.PATIENT: _of_patient,
    Level.STUDY: _of_study,
    Level.SERIES: _of_series,
    Level.IMAGE: _of_image,
}
