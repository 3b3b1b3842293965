"""Queries that are drawn from a corpus: all levels, both models, and every kind of matching."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.dicom.querying.charsets import AnswerCharset
from node.dicom.querying.levels import UNIQUE_KEYS, Level
from node.dicom.querying.model import QueryModel

Key = str | tuple[str, ...] | Mapping[str, str]
"""Of an identifier: a value, several ones, or the item of a sequence."""

KEYS: dict[Level, tuple[str, ...]] = {
    Level.PATIENT: (
        *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
        *("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"),
    ),
    Level.STUDY: (
        *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
        *("StudyDescription", "ReferringPhysicianName", "ModalitiesInStudy"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    Level.SERIES: (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate"),
        *("BodyPartExamined", "ProtocolName", "Manufacturer", "StationName", "OperatorsName"),
        "NumberOfSeriesRelatedInstances",
    ),
    Level.IMAGE: (
        *("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ImageType", "ContentDate"),
        *("ContentTime", "ImageComments", "Rows"),
    ),
}
SEQUENCE = "RequestAttributesSequence"
OTHERS = ("KVP", "SoftwareVersions", "IssuerOfPatientID", SEQUENCE)
"""Those that belong to no level."""

_FEW = 1500
"""Images of a corpus of which all may be asked for at once."""

CHARSETS = ((), ("ISO_IR 100",), ("", "ISO 2022 IR 87"), ("ISO_IR 192",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked."""

    model: QueryModel
    level: Level
    keys: Mapping[str, Key]
    charset: tuple[str, ...] = ()

    @property
    def identifier(self) -> Dataset:
        """The identifier of the C-FIND."""
        dataset = Dataset()
        if self.charset:
            dataset.SpecificCharacterSet = list(self.charset)
        dataset.QueryRetrieveLevel = self.level.name
        for keyword, value in self.keys.items():
            _put(dataset, keyword, value)
        return dataset

    @property
    def unique(self) -> str:
        """The keyword that names an entity among the answers."""
        return UNIQUE_KEYS[self.level]

    def __str__(self) -> str:
        named = ", ".join(f"{keyword}={value!r}" for keyword, value in self.keys.items())
        return f"{self.model.value} root, {self.level.name}, {self.charset}: {named}"


def _put(dataset: Dataset, keyword: str, value: Key) -> None:
    tag, vr = tag_for_keyword(keyword), dictionary_VR(keyword)
    if vr == "SQ":
        item = Dataset()
        for inner, text in value.items() if isinstance(value, Mapping) else ():
            _put(item, inner, text)
        dataset.add(DataElement(tag, "SQ", [item] if len(item) else []))
        return
    assert not isinstance(value, Mapping)
    element: Any = list(value) if isinstance(value, tuple) else value
    if vr == "US":
        element = int(element) if element else None
    with config.disable_value_validation():
        dataset.add(DataElement(tag, vr, element, validation_mode=config.IGNORE))


def draw_queries(
    datasets: Sequence[Dataset], count: int, *, seed: int = 0, known: bool = False
) -> list[Query]:
    """Return so many queries, no two of them alike, and the same ones for the same seed.

    Parameters
    ----------
    datasets
        The headers of what is held: most values are made of theirs.
    known
        Whether only attributes of the query's level, and of those above it, are asked for.
    """
    drawn = random.Random(seed)
    found: dict[str, Query] = {}
    wide = (_FEW / max(_FEW, len(datasets))) ** 2
    while len(found) < count:
        query = _query(drawn, datasets, known)
        if drawn.random() > wide:
            query = replace(query, keys=_narrowed(drawn, query, datasets))
        found[str(query)] = query
    return list(found.values())


def _narrowed(drawn: random.Random, query: Query, datasets: Sequence[Dataset]) -> Mapping[str, Key]:
    """Return keys that fewer meet: the larger a corpus, the fewer queries are about it all."""
    keys = dict(query.keys)
    if query.level is Level.PATIENT and not keys["PatientID"]:
        keys["PatientID"] = f"*{drawn.randrange(100):02d}"
    elif query.level is Level.STUDY and query.model is QueryModel.STUDY_ROOT:
        way = drawn.randrange(3)
        if way == 0 and not keys["StudyInstanceUID"]:
            some = [first(one, "StudyInstanceUID") for one in drawn.sample(datasets, 30)]
            keys["StudyInstanceUID"] = tuple(some)
        elif way == 1 and not keys.get("StudyDate"):
            month = f"{drawn.randrange(2020, 2024)}{drawn.randrange(1, 13):02d}"
            keys["StudyDate"] = f"{month}01-{month}28"
        elif not keys.get("PatientID"):
            keys["PatientID"] = f"P*{drawn.randrange(100):02d}"
    return {keyword: keys[keyword] for keyword in sorted(keys, key=_tag)}


def _query(drawn: random.Random, datasets: Sequence[Dataset], known: bool) -> Query:
    dataset = drawn.choice(datasets)
    model = drawn.choice([QueryModel.STUDY_ROOT] * 3 + [QueryModel.PATIENT_ROOT])
    root = Level.PATIENT if model is QueryModel.PATIENT_ROOT else Level.STUDY
    level = Level(drawn.choice([one for one in (1, 1, 1, 0, 0, 2, 3) if one >= root]))
    keys: dict[str, Key] = {UNIQUE_KEYS[level]: ""}
    for above in Level:
        if root <= above < level:
            keys[UNIQUE_KEYS[above]] = first(dataset, UNIQUE_KEYS[above]) or "P00001"
    offered = list(KEYS[level])
    if level is Level.STUDY and root is Level.STUDY:
        offered += (*KEYS[Level.PATIENT][:4], "PatientName", "PatientName")
    if not known:
        offered += OTHERS
        if level is Level.STUDY:
            offered += ("Modality", "SeriesDescription", "SOPClassUID")
    for keyword in drawn.sample(offered, drawn.choice([1, 1, 2, 2, 3, 4])):
        keys[keyword] = _key(drawn, keyword, dataset, drawn.choice(datasets))
    texts = "".join(text for value in keys.values() for text in flat(value))
    charsets = [charset for charset in CHARSETS if _encodable(texts, charset)]
    return Query(
        model=model,
        level=level,
        keys={keyword: keys[keyword] for keyword in sorted(keys, key=_tag)},
        charset=drawn.choice(charsets),
    )


def flat(value: Key) -> tuple[str, ...]:
    """Return all texts of a key."""
    if isinstance(value, str):
        return (value,)
    return tuple(value.values()) if isinstance(value, Mapping) else value


def first(dataset: Dataset, keyword: str) -> str:
    """Return the first value of an attribute, as text."""
    value = dataset.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else ""
    return "" if value is None else str(value).strip()


def _tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


def _encodable(text: str, charset: tuple[str, ...]) -> bool:
    if not charset or text.isascii():
        return text.isascii()
    return AnswerCharset(charset).encode("LO", [text]) is not None


def _key(drawn: random.Random, keyword: str, dataset: Dataset, other: Dataset) -> Key:
    """Draw what is asked of an attribute."""
    if drawn.random() < 0.25:
        item = {"RequestedProcedureID": ""}
        return item if keyword == SEQUENCE and drawn.random() < 0.5 else ""
    if keyword == SEQUENCE:
        return _item(drawn, dataset)
    if keyword.startswith("NumberOf"):
        return drawn.choice(["", "", "", "1", "2", "3", "03"])
    of = "Modality" if keyword == "ModalitiesInStudy" else keyword
    vr = dictionary_VR(keyword)
    drawing = _FORMS.get(vr, _texts)
    forms = drawing(drawn, first(dataset, of), first(other, of))
    if vr == "LT":  # a backslash is one of its characters
        forms = [form for form in forms if isinstance(form, str)]
    return drawn.choice(forms)


def _item(drawn: random.Random, dataset: Dataset) -> Key:
    items = dataset.get(SEQUENCE) or [Dataset()]
    text = first(items[-1], "RequestedProcedureID") or "RP1"
    key = {"RequestedProcedureID": drawn.choice([text, text, "RP?", "RP1*", text.lower()])}
    if drawn.random() < 0.5:
        key["ScheduledProcedureStepID"] = drawn.choice(["", "SP0", "SP1"])
    return key


def _texts(drawn: random.Random, text: str, other: str) -> list[Key]:
    text = text or other or "X"
    at = drawn.randrange(len(text) + 1)
    return [
        *(text, text, text, f"{text[:at]}*", f"*{text[at:]}", f"{text[:at]}*{text[at + 1 :]}"),
        *(f"{text[:at]}?{text[at + 1 :]}", f"*{text[at : at + 3]}*", text.swapcase(), text.lower()),
        *("*", "**", f" {text}", f"{text} ", other, text[:at], text.upper(), f"{text}*"),
        *((text, other), (f"{text[:at]}*", other), text.replace("^", ", "), f"{text}^", "nobody"),
        *(_plain(text), f"{text}?", "%", "_" * len(text), *text.split("=")),
    ]


def _plain(text: str) -> str:
    """Return a name without accents."""
    return text.translate(str.maketrans("üéôäößÜÉıİ", "ueoaosUEiI"))


def _days(_: random.Random, text: str, other: str) -> list[Key]:
    text, other = text or "20210101", other or "20220101"
    low, high = sorted((text, other))
    return [
        *(text, text, f"{text}-{text}", f"{low}-{high}", f"{high}-{low}", f"-{text}", f"{text}-"),
        *(f"{low}-{high}", f"-{high}", f"{low} - {high}", "-", "20210230", f"{text[:4]}*"),
        *(f"{text[:4]}.{text[4:6]}.{text[6:]}", text[:4], (text, other), "20200101-20211231"),
    ]


def _clocks(_: random.Random, text: str, other: str) -> list[Key]:
    text, other = text or "1030", other or "2200"
    low, high = sorted((text, other))
    return [
        *(text, text[:4], text[:2], f"{text[:2]}-{text[:2]}", f"{low}-{high}", f"-{text[:4]}"),
        *(f"{text}-", "0800-1200", "080000.000-115959.999", f"{text[:2]}*", "noon"),
    ]


def _uids(_: random.Random, text: str, other: str) -> list[Key]:
    return [text, text, (text, other), (other, "1.2.3", text), "1.2.3", f"{text[:8]}*"]


def _numbers(_: random.Random, text: str, other: str) -> list[Key]:
    text = text or "1"
    return [text, text, f"0{text}", other or "2", "1"]


def _rows(_: random.Random, text: str, other: str) -> list[Key]:
    return [text or "64", other or "512", "1"]


def _names(drawn: random.Random, text: str, other: str) -> list[Key]:
    """Also of some of a name's component groups, the others of them empty."""
    groups = (text or other or "X").split("=")
    of_group = [
        "=" * at + part
        for at, group in enumerate(groups)
        for part in (group, f"{group[:1]}*")
        if at
    ]
    alone = [part for group in groups[1:] for part in (group, group, f"{group[:1]}*")]
    more = [*of_group, *(f"{groups[0]}={one[1:]}" for one in of_group), *alone, *alone]
    return [*_texts(drawn, text, other), *more]


_FORMS: dict[str, Callable[[random.Random, str, str], list[Key]]] = {
    "DA": _days,
    "TM": _clocks,
    "UI": _uids,
    "IS": _numbers,
    "DS": _numbers,
    "US": _rows,
    "PN": _names,
}
