"""What an archive answers to identifiers: the hierarchical search of PS3.4 C.4.1.3.1, pure.

`find` walks the levels from the root of the model down to the one that is asked for; `select`
returns the instances that the unique keys of a C-MOVE or a C-GET name (C.4.2.2.1, C.4.3.2.1).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from node.net.messages import IdentifierMismatch, QueryModel
from node.simulator.archive import HeldAttributes, HeldInstance, SimulatedArchive
from node.simulator.attributes import LEVELS, STORED, TAGS, UNIQUE_KEYS, Level
from node.simulator.matching import matches

_ROOTS = {QueryModel.PATIENT_ROOT: Level.PATIENT, QueryModel.STUDY_ROOT: Level.STUDY}

_KEYWORDS = {tag: keyword for keyword, tag in TAGS.items()}

_BINARY_VRS = ("US", "UL", "SS", "SL", "UV", "SV")


class InvalidIdentifierError(IdentifierMismatch):
    """The identifier breaks the rules of its information model (PS3.4 C.4.1.2, C.4.2.1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    level: Level
    root: Level
    keys: dict[str, tuple[str, ...]]

    def keys_of(self, level: Level) -> dict[str, tuple[str, ...]]:
        """Return the keys to be matched at a level.

        In the Study Root model the patient's attributes belong to the study (C.6.2.1).
        """
        lowest = Level.PATIENT if level == self.root else level
        return {k: v for k, v in self.keys.items() if lowest <= LEVELS[k] <= level}


def find(
    archive: SimulatedArchive, model: QueryModel, identifier: Dataset, *, aetitle: str
) -> Iterator[Dataset]:
    """Yield the identifiers of a C-FIND's pending responses, in the archive's order.

    Parameters
    ----------
    aetitle
        Where the matches can be retrieved from (0008,0054).

    Raises
    ------
    InvalidIdentifierError
        When the level is not one of the model, or a unique key above it is not a single value.
    """
    query = _parse(model, identifier)
    for keyword in _unique_above(query):
        values = query.keys.get(keyword, ())
        if len(values) != 1 or not values[0] or (keyword == "PatientID" and "*" in values[0]):
            raise InvalidIdentifierError(
                f"a query at {query.level.name} level has to name one {keyword}"
            )
    patients = [list(patient.instances) for patient in archive.patients.values()]
    for entity in _search(query, Level.PATIENT, patients, {}):
        yield _response(query, identifier, entity, aetitle)


def select(archive: SimulatedArchive, model: QueryModel, identifier: Dataset) -> list[HeldInstance]:
    """Return the instances that a retrieval's unique keys name, in the archive's order.

    Raises
    ------
    InvalidIdentifierError
        When the level is not one of the model, a unique key above it is not a single value, or
        the one at the level itself is missing.
    """
    query = _parse(model, identifier)
    for keyword in _unique_above(query):
        if len(query.keys.get(keyword, ())) != 1:
            raise InvalidIdentifierError(
                f"a retrieval at {query.level.name} level has to name one {keyword}"
            )
    if not any(query.keys.get(UNIQUE_KEYS[query.level], ())):
        raise InvalidIdentifierError(
            f"a retrieval at {query.level.name} level has to name the {UNIQUE_KEYS[query.level]}"
        )
    named = {
        keyword: set(values)
        for keyword, values in query.keys.items()
        if keyword in UNIQUE_KEYS.values() and query.root <= LEVELS[keyword] <= query.level
    }
    return [i for i in archive.instances if all(_unique(i, k) in v for k, v in named.items())]


def _unique(instance: HeldInstance, keyword: str) -> str:
    return {
        "PatientID": instance.patient_id,
        "StudyInstanceUID": instance.study_uid,
        "SeriesInstanceUID": instance.series_uid,
        "SOPInstanceUID": instance.sop_instance_uid,
    }[keyword]


def _unique_above(query: _Query) -> list[str]:
    return [UNIQUE_KEYS[level] for level in Level if query.root <= level < query.level]


def _parse(model: QueryModel, identifier: Dataset) -> _Query:
    name = str(identifier.get("QueryRetrieveLevel") or "").strip()
    root = _ROOTS[model]
    if name not in Level.__members__ or Level[name] < root:
        raise InvalidIdentifierError(f"{name!r} is not a level of the {root.name} root model")
    keys = {}
    with config.disable_value_validation():  # whatever is asked is compared as it is
        for element in identifier:
            keyword = _KEYWORDS.get(element.tag)
            if keyword is not None and LEVELS[keyword] <= Level[name]:
                keys[keyword] = _texts(element)
    return _Query(level=Level[name], root=root, keys=keys)


def _texts(element: DataElement) -> tuple[str, ...]:
    if element.value is None or element.value == "":
        return ()
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return tuple(str(value).strip(" \0") for value in values)


def _search(
    query: _Query, level: Level, groups: Iterable[Sequence[HeldInstance]], above: HeldAttributes
) -> Iterator[HeldAttributes]:
    """Yield what is known of each entity at the query's level that matches, ancestors included."""
    for instances in groups:
        entity = {**above, **_describe(level, instances)}
        if level >= query.root and not _matches(query.keys_of(level), entity):
            continue
        if level == query.level:
            yield entity
        else:
            below = Level(level + 1)
            yield from _search(query, below, _grouped(instances, below), entity)


def _grouped(instances: Sequence[HeldInstance], level: Level) -> Iterable[Sequence[HeldInstance]]:
    groups: dict[str, list[HeldInstance]] = {}
    for instance in instances:
        groups.setdefault(_unique(instance, UNIQUE_KEYS[level]), []).append(instance)
    return groups.values()


def _matches(keys: HeldAttributes, entity: HeldAttributes) -> bool:
    return all(
        matches(dictionary_VR(TAGS[keyword]), key, entity.get(keyword, ()))
        for keyword, key in keys.items()
    )


def _describe(level: Level, instances: Sequence[HeldInstance]) -> HeldAttributes:
    """Return a level's attributes: those of its first instance, and what is counted below it."""
    first = instances[0].attributes
    stored = {keyword: first[keyword] for keyword in STORED[level] if keyword in first}
    return {**stored, **_COMPUTE[level](instances)}


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


def _response(query: _Query, identifier: Dataset, entity: HeldAttributes, aetitle: str) -> Dataset:
    """Return the identifier of one pending response (PS3.4 C.4.1.1.3.2)."""
    response = Dataset()
    response.SpecificCharacterSet = "ISO_IR 192"
    for element in identifier:
        keyword = _KEYWORDS.get(element.tag)
        if keyword in query.keys:
            response.add(_element(keyword, entity.get(keyword, ())))
    for keyword in _unique_above(query):
        response.add(_element(keyword, entity.get(keyword, ())))
    response.QueryRetrieveLevel = query.level.name
    response.RetrieveAETitle = aetitle
    if "InstanceAvailability" in identifier:
        response.InstanceAvailability = "ONLINE"
    return response


def _element(keyword: str, values: tuple[str, ...]) -> DataElement:
    vr = dictionary_VR(TAGS[keyword])
    converted: list[str] | list[int] = list(values)
    if vr in _BINARY_VRS:
        converted = [int(value) for value in values]
    value = converted[0] if len(converted) == 1 else converted or None
    return DataElement(Tag(TAGS[keyword]), vr, value, validation_mode=config.IGNORE)
