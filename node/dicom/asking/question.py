"""A question as it is put to a peer: its level, its model, and its identifiers (PS3.4 C.4.1)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from node.dicom.asking.charsets import charset_for
from node.dicom.asking.keys import Key, vr_of
from node.dicom.querying.levels import LEVELS, UNIQUE_KEYS, Level
from node.dicom.querying.model import QueryModel
from node.errors import UsageError

USUAL: Mapping[Level, tuple[str, ...]] = {
    Level.PATIENT: (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "NumberOfPatientRelatedStudies",
    ),
    Level.STUDY: (
        "StudyDate",
        "StudyTime",
        "PatientID",
        "PatientName",
        "ModalitiesInStudy",
        "StudyDescription",
        "AccessionNumber",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    Level.SERIES: (
        "SeriesNumber",
        "Modality",
        "SeriesDescription",
        "BodyPartExamined",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    Level.IMAGE: ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}
"""What is asked for at each level without being named, in the order in which it is shown."""

_PLURALS = {
    Level.PATIENT: "patients",
    Level.STUDY: "studies",
    Level.SERIES: "series",
    Level.IMAGE: "images",
}
_BINARY = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_REAL = frozenset({"FL", "FD"})
_CHARSET = "SpecificCharacterSet"
_MOST_QUESTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedQuestion:
    """A question for a peer.

    Attributes
    ----------
    level
        Query/Retrieve Level (0008,0052).
    model
        The information model it is asked in.
    keys
        What was named, in its order.
    """

    level: Level
    model: QueryModel
    keys: tuple[Key, ...] = ()

    @property
    def what(self) -> str:
        """What it brings, in words: patients, studies, series or images."""
        return _PLURALS[self.level]

    @property
    def unique_key(self) -> str:
        """The keyword of what names each match."""
        return UNIQUE_KEYS[self.level]

    @property
    def columns(self) -> list[str]:
        """The keywords of what is asked for, in the order in which it is shown."""
        *usual, last = USUAL[self.level]
        alike = {key.keyword for key in self.keys if len(key.values) == 1}
        above = [one for one in self.unique_above if one not in alike]  # else all have the same
        hidden = {_CHARSET, last, *self.unique_above}
        named = [key.keyword for key in self.keys if key.keyword not in hidden]
        return list(dict.fromkeys([*usual, *named, *above, last]))

    @property
    def unique_above(self) -> list[str]:
        """The unique keys of the levels above the one that is asked at."""
        root = Level.PATIENT if self.model is QueryModel.PATIENT_ROOT else Level.STUDY
        return [UNIQUE_KEYS[level] for level in Level if root <= level < self.level]

    def identifiers(self) -> list[Dataset]:
        """Return the identifiers to put, one after the other.

        There are several where a key has several values that are no UIDs, of which one has to
        match: a list of UIDs is understood (PS3.4 C.2.2.2.2), one of modalities need not be.
        """
        choices = [
            [Key(path=key.path, values=(one,)) for one in key.values] if key.is_list else [key]
            for key in self.keys
        ]
        return [self._identifier(keys) for keys in product(*choices)]

    def _identifier(self, keys: Sequence[Key]) -> Dataset:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = self.level.name
        with config.disable_value_validation():  # patterns and ranges are no values of their VR
            for keyword in (*USUAL[self.level], *self.unique_above):
                setattr(identifier, keyword, "")
            for key in keys:
                _put(identifier, key)
            charset = charset_for("".join(value for key in keys for value in key.values))
            if charset and not identifier.get(_CHARSET):
                identifier.SpecificCharacterSet = charset
        return identifier


def question_of(
    keys: Sequence[Key],
    *,
    level: Level | None = None,
    model: QueryModel | None = None,
    relational: bool = False,
) -> KeyedQuestion:
    """Return the question that keys come to.

    Parameters
    ----------
    level
        None is the deepest that a key belongs to, and that of studies at least; in the Patient
        Root model that of patients, where all keys are theirs.
    model
        None is the Study Root model, and the Patient Root one for patients.
    relational
        Whether keys of any level may be named, and the unique keys above it need not be (PS3.4
        C.4.1.2.2.2); the peer has to agree to that.

    Raises
    ------
    UsageError
        No peer could answer it; the message says what is missing, or too much.
    """
    keys = _once(keys)
    asked = level is not None
    deepest = max((known for key in keys if (known := level_of(key)) is not None), default=None)
    if level is None:
        top = Level.PATIENT if model is QueryModel.PATIENT_ROOT else Level.STUDY
        level = max(top, deepest) if deepest is not None else Level.STUDY
    if model is None:
        model = QueryModel.PATIENT_ROOT if level is Level.PATIENT else QueryModel.STUDY_ROOT
    if level is Level.PATIENT and model is not QueryModel.PATIENT_ROOT:
        raise UsageError(
            "patients are asked for in the Patient Root model alone (PS3.4 C.6.1): --model patient"
        )
    question = KeyedQuestion(level=level, model=model, keys=tuple(keys))
    for key in keys:
        belongs = level_of(key)
        if belongs is not None and belongs > level:
            raise UsageError(
                f"{key.name} is an attribute of {_PLURALS[belongs]}, below the {level.name} level "
                f"that is asked at: --level {belongs.name.lower()}{_instead(key)}"
            )
    if not relational:
        _check_unique_keys(question, "" if asked else _deeper(keys, level))
    if len(question.identifiers()) > _MOST_QUESTIONS:
        raise UsageError(
            f"the lists of values come to more than {_MOST_QUESTIONS} questions; name fewer"
        )
    return question


def level_of(key: Key) -> Level | None:
    """Return the level that a key belongs to (PS3.4 C.6.1, C.6.2); None where that is not known."""
    return LEVELS.get(key.keyword)


def ignored_above(question: KeyedQuestion) -> list[str]:
    """Return the keys with values that a peer may ignore: above the level, and not unique.

    PS3.4 C.4.1.2.1: a hierarchical question has the unique keys alone above its level.
    """
    root = Level.PATIENT if question.model is QueryModel.PATIENT_ROOT else Level.STUDY
    names = []
    for key in question.keys:
        belongs = level_of(key)
        if belongs is None or not key.values or key.keyword in UNIQUE_KEYS.values():
            continue
        if max(belongs, root) < question.level:
            names.append(key.name)
    return names


def _once(keys: Sequence[Key]) -> list[Key]:
    """Return each key once; the same one twice, with two values, would be one too many."""
    found: dict[tuple[int, ...], Key] = {}
    for key in keys:
        before = found.get(key.path)
        if before is not None and before.values and key.values and before.values != key.values:
            raise UsageError(f"{key.name} is named twice, with different values")
        found[key.path] = key if before is None or key.values else before
    return list(found.values())


def _deeper(keys: Sequence[Key], level: Level) -> str:
    """Return which key made it a question of this level, as the beginning of a sentence."""
    name = next((key.name for key in keys if level_of(key) is level), "")
    return f"{name} is an attribute of {_PLURALS[level]}: " if name else ""


def _check_unique_keys(question: KeyedQuestion, because: str) -> None:
    named = {key.keyword: key for key in question.keys if len(key.path) == 1}
    for keyword in question.unique_above:
        values = named[keyword].values if keyword in named else ()
        if len(values) == 1 and not {"*", "?"} & set(values[0]):
            continue
        owner = {"PatientID": "patient", "StudyInstanceUID": "study"}.get(keyword, "series")
        hints = [_instead(key) for key in question.keys]
        raise UsageError(
            f"{because}to ask for {question.what}, name the one {owner} that they are of: "
            f"-k {keyword}={'ID' if keyword == 'PatientID' else 'UID'}; --relational may leave it "
            f"out, where the peer agrees{next(filter(None, hints), '')}"
        )


def _instead(key: Key) -> str:
    """Return what may be asked of studies in the place of a key."""
    if key.keyword != "Modality":
        return ""
    value = f"={','.join(key.values)}" if key.values else ""
    return f"; of studies it is -k ModalitiesInStudy{value}"


def _put(identifier: Dataset, key: Key) -> None:
    """Put a key into an identifier, within the items of its sequences."""
    inner = identifier
    for tag in key.path[:-1]:
        if tag not in inner:
            inner.add_new(tag, "SQ", Items([Dataset()]))
        if not inner[tag].value:
            inner[tag].value = Items([Dataset()])
        inner = inner[tag].value[0]
    tag = key.path[-1]
    vr = vr_of(tag)
    if vr == "SQ":
        if tag not in inner:
            inner.add_new(tag, "SQ", Items())
        return
    values = list(_typed(key.values, vr))
    inner.add_new(tag, vr, values[0] if len(values) == 1 else values or None)


def _typed(values: Sequence[str], vr: str) -> Iterator[object]:
    for value in values:
        if vr in _BINARY:
            yield int(value)
        elif vr in _REAL:
            yield float(value)
        elif vr == "AT":
            yield int(value, 16)
        else:
            yield value


def keys_in_words(question: KeyedQuestion) -> dict[str, str]:
    """Return what a question has to match: values by the names of their keys, as DICOM has them."""
    return {key.name: "\\".join(key.values) for key in question.keys if key.values}
