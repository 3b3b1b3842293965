"""A question, as a value: the keys of an identifier (PS3.4 C.4.1.1.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.dicom.querying.levels import LEVELS, TAGS, UNIQUE_KEYS, Level
from node.dicom.querying.model import IdentifierMismatch, QueryModel

_ROOTS = {
    QueryModel.PATIENT_ROOT: Level.PATIENT,
    QueryModel.STUDY_ROOT: Level.STUDY,
    QueryModel.REPOSITORY: Level.STUDY,
}

_KEYWORDS = {tag: keyword for keyword, tag in TAGS.items()}


class InvalidIdentifierError(IdentifierMismatch):
    """The identifier breaks the rules of its information model (PS3.4 C.4.1.2, C.4.2.1.4)."""


_ABOUT_THE_QUESTION = frozenset(
    (0x00080005, 0x00080052, 0x00080053, 0x00080054, 0x00080056, 0x0008041B, 0x0008041C)
)
"""What an identifier says that is no key: Specific Character Set, Query/Retrieve Level and View,
Retrieve AE Title, Instance Availability, Record Key, Prior Record Key."""

_TIMEZONE = 0x00080201
"""Timezone Offset From UTC: of an answer as the header has it, of a question no key, either."""

_OF_TIME = frozenset({"DA", "TM", "DT"})


_LONGEST_VALUE = 1024
"""Characters of a value: the longest name of three groups has 194 (PS3.5 6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderKey:
    """A key that belongs to no level: any attribute that a header may have.

    Attributes
    ----------
    vr
        As it was asked for, or as the dictionary has it.
    values
        As in `Question.keys`.
    items
        Of a sequence, the keys of its item, by tag; empty where the whole of it is asked for.
    """

    vr: str
    values: tuple[str, ...] = ()
    items: Mapping[int, "HeaderKey"] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether something has to match; universal matching does not."""
        return any(self.values) or any(key.asks for key in self.items.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for, of a C-FIND or of a retrieval.

    Attributes
    ----------
    level
        Query/Retrieve Level (0008,0052).
    root
        The highest level of the information model.
    keys
        The values of the attributes that are named and known here, by keyword; none is universal
        matching (PS3.4 C.2.2.2.3). All of them are answered.
    below
        The same of attributes that belong to a level below.
    others
        Keys of attributes that are not named here, by tag.
    relational, combined
        Whether relational matching, and that of date and time as one, was negotiated (C.5.1.1).
    charset
        Specific Character Set (0008,0005) of the identifier.
    availability
        Whether Instance Availability (0008,0056) is asked for.
    available, retrieve_from
        The values of Instance Availability and Retrieve AE Title (0008,0054) that are asked for.
    record_key
        Whether Record Key (0008,041B) is: of a Repository Query, and here an entity's unique key.
    after
        Prior Record Key (0008,041C): what comes after this entity is asked for; empty: all.
    """

    level: Level
    root: Level = Level.STUDY
    keys: Mapping[str, tuple[str, ...]]
    below: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: Mapping[int, HeaderKey] = field(default_factory=dict)
    relational: bool = False
    combined: bool = False
    charset: tuple[str, ...] = ()
    availability: bool = False
    available: tuple[str, ...] = ()
    retrieve_from: tuple[str, ...] = ()
    record_key: bool = False
    after: str = ""

    def values(self, keyword: str) -> tuple[str, ...]:
        """Return what an attribute has to match; nothing where it matches whatever it is."""
        return tuple(value for value in self.keys.get(keyword, ()) if value)

    def asking(self, keyword: str, *values: str) -> Self:
        """Return the same question with other values of one key, if it is there."""
        if keyword not in self.keys:
            return self
        return replace(self, keys={**self.keys, keyword: values})

    def keys_of(self, level: Level) -> dict[str, tuple[str, ...]]:
        """Return the keys to be matched at a level.

        In the Study Root model the patient's attributes belong to the study (C.6.2.1).
        """
        lowest = Level.PATIENT if level == self.root else level
        return {k: v for k, v in self.keys.items() if lowest <= LEVELS[k] <= level}

    @property
    def unique_above(self) -> Sequence[str]:
        """The unique keys of the levels above the one that is asked for."""
        return [UNIQUE_KEYS[level] for level in Level if self.root <= level < self.level]


def read_question(
    model: QueryModel, identifier: Dataset, *, relational: bool = False, combined: bool = False
) -> Question:
    """Read the identifier of a C-FIND.

    Parameters
    ----------
    relational
        Whether the unique keys of the levels above may be missing, or be lists (PS3.4 C.4.1.2.2).
    combined
        Whether date and time are matched as one.

    Raises
    ------
    InvalidIdentifierError
        When the level is not one of the model, a unique key above it is not a single value, or
        what was not negotiated is there: a view (PS3.4 C.4.1.1.3.1), or a timezone in which a date
        or a time would have to be understood (C.2.2.2.5), for these are compared as they are.
    """
    question = replace(_read(model, identifier), relational=relational, combined=combined)
    if _said(identifier, "TimezoneOffsetFromUTC") and (timed := _first_of_time(identifier)):
        raise InvalidIdentifierError(
            f"TimezoneOffsetFromUTC beside {timed}: times are not adjusted"
        )
    for keyword in question.unique_above if not relational else ():
        values = question.keys.get(keyword, ())
        if len(values) != 1 or not values[0] or (keyword == "PatientID" and "*" in values[0]):
            raise InvalidIdentifierError(
                f"a query at {question.level.name} level has to name one {keyword}"
            )
    return question


def read_retrieval(model: QueryModel, identifier: Dataset, *, relational: bool = False) -> Question:
    """Read the identifier of a C-MOVE or a C-GET.

    Parameters
    ----------
    relational
        Whether the unique keys above the level may be left out (PS3.4 C.4.2.2.2), as was
        negotiated.

    Raises
    ------
    InvalidIdentifierError
        When the level is not one of the model, a unique key above it is not a single value, the
        one at the level itself is missing, or one below it has a value: that is no key of the
        level (C.4.2.2.1), and to pass over it would send more than is meant.
    """
    question = _read(model, identifier)
    for keyword in question.unique_above:
        values = question.keys.get(keyword, ())
        if len(values) > 1 or (not relational and not any(values)):
            raise InvalidIdentifierError(
                f"a retrieval at {question.level.name} level has to name one {keyword}"
            )
    unique = UNIQUE_KEYS[question.level]
    if not any(question.keys.get(unique, ())):
        raise InvalidIdentifierError(
            f"a retrieval at {question.level.name} level has to name the {unique}"
        )
    for level in sorted(Level, reverse=True):
        key = UNIQUE_KEYS[level]
        if any(question.below.get(key, ())):
            raise InvalidIdentifierError(
                f"{key} is no key at {question.level.name} level: ask at {level.name} level"
            )
    return question


def _read(model: QueryModel, identifier: Dataset) -> Question:
    name = str(identifier.get("QueryRetrieveLevel") or "").strip()
    root = _ROOTS[model]
    if name not in Level.__members__ or Level[name] < root:
        raise InvalidIdentifierError(f"{name!r} is not a level of the {root.name} root model")
    if _said(identifier, "QueryRetrieveView"):  # no conversion was agreed to
        raise InvalidIdentifierError("QueryRetrieveView was not negotiated: leave it out")
    keys: dict[str, tuple[str, ...]] = {}
    below: dict[str, tuple[str, ...]] = {}
    others: dict[int, HeaderKey] = {}
    with config.disable_value_validation():  # whatever is asked is compared as it is
        for element in identifier:
            keyword = _KEYWORDS.get(element.tag)
            if keyword is not None:
                here = keys if LEVELS[keyword] <= Level[name] else below
                here[keyword] = _texts(element)
            elif element.tag == _TIMEZONE:
                others[_TIMEZONE] = HeaderKey(vr="SH")
            elif element.tag not in _ABOUT_THE_QUESTION and element.tag.element:
                others[int(element.tag)] = _header_key(element)
        charset = (
            _texts(identifier["SpecificCharacterSet"])
            if "SpecificCharacterSet" in identifier
            else ()
        )
    question = Question(
        level=Level[name],
        root=root,
        keys=keys,
        below=below,
        others=others,
        charset=charset,
        availability="InstanceAvailability" in identifier,
        available=_said(identifier, "InstanceAvailability"),
        retrieve_from=_said(identifier, "RetrieveAETitle"),
    )
    if model is not QueryModel.REPOSITORY:
        return question
    prior = identifier.get("PriorRecordKey") or b""
    after = prior.decode("latin-1").strip(" \0") if isinstance(prior, bytes) else str(prior)
    return replace(question, record_key="RecordKey" in identifier, after=after)


def _said(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of an attribute that says something of the question itself."""
    found = _texts(identifier[keyword]) if keyword in identifier else ()
    return tuple(value for value in found if value.strip("*"))


def _first_of_time(identifier: Dataset) -> str:
    """Return the name of a date or a time that has to match; empty where none has to."""
    for element in identifier:
        if element.VR == "SQ":
            found = next(filter(None, map(_first_of_time, element.value or ())), "")
        elif element.VR in _OF_TIME and any(_texts(element)):
            found = element.keyword or str(element.tag)
        else:
            continue
        if found:
            return found
    return ""


def _header_key(element: DataElement) -> HeaderKey:
    if element.VR != "SQ":
        return HeaderKey(vr=element.VR, values=_texts(_as_text(element)))
    items = element.value or ()
    if len(items) > 1:
        raise InvalidIdentifierError(f"{element.name} has {len(items)} items, a key has one")
    first = items[0] if items else ()
    return HeaderKey(vr="SQ", items={int(one.tag): _header_key(one) for one in first})


def _as_text(element: DataElement) -> DataElement:
    """Return a key whose VR nobody has said as the text that it is; one of bytes has to be empty.

    What a requestor does not know itself comes as UN, and so does each private attribute in
    implicit VR. Bytes are compared with nothing (PS3.4 C.2.2.2.1).
    """
    value = element.value
    if not value or not isinstance(value, bytes):
        return element
    text = value.removesuffix(b"\0").decode("latin-1")
    if element.VR != "UN" or not (text.isascii() and text.isprintable()):
        name = element.keyword or str(element.tag)
        raise InvalidIdentifierError(f"bytes match nothing: leave {name} empty")
    return DataElement(element.tag, "UC", text)


def _texts(element: DataElement) -> tuple[str, ...]:
    if element.value is None or element.value == "":
        return ()
    several = isinstance(element.value, list | MultiValue)  # numbers come as a plain list
    values = element.value if several else [element.value]
    written = "{:08X}" if element.VR == "AT" else "{}"  # a tag as the JSON model has it
    texts = tuple(written.format(value).strip(" \0") for value in values)
    if any(len(text) > _LONGEST_VALUE or "\0" in text for text in texts):
        raise InvalidIdentifierError(
            f"a value of {element.name} is longer than {_LONGEST_VALUE}, or has a NUL"
        )
    return texts
