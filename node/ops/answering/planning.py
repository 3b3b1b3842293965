"""How a query is answered from the index: what narrows it there, and what is to be read; pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, keyword_for_tag

from node.dicom.querying.header import json_tag
from node.dicom.querying.levels import COMPUTED, LEVELS, TAGS, Level
from node.dicom.querying.matching import WILDCARD_VRS, date_range, is_universal
from node.dicom.querying.model import IdentifierMismatch
from node.dicom.querying.question import Question
from schema.answering.describing import WantedFacts
from schema.answering.narrowing import NARROWED, Among, Like, Narrowing, Within

COLUMNS = {
    Level.PATIENT: ("PatientID", "PatientName"),
    Level.STUDY: ("StudyInstanceUID", "AccessionNumber"),
    Level.SERIES: ("SeriesInstanceUID", "Modality"),
    Level.IMAGE: ("SOPInstanceUID", "SOPClassUID", "AvailableTransferSyntaxUID"),
}
"""What the rows of each level have as it is in the headers."""

DATES = frozenset({"PatientBirthDate", "StudyDate"})
"""What rows have as dates; the text of them is the header's, and below the patient all of a birth
date is."""

OF_FIRST = frozenset({"PatientID", "PatientName", "PatientBirthDate", "AccessionNumber"})
"""What rows have of the image that came first."""

_NUMBERS = frozenset(
    keyword
    for keywords in COMPUTED.values()
    for keyword in keywords
    if not keyword.endswith("InStudy")
)


def columns_of(level: Level, *, restricted: bool) -> Iterator[str]:
    """Yield what rows of a level, and of those above it, have as it is in the headers."""
    for one, keywords in COLUMNS.items():
        for keyword in keywords if one <= level else ():
            if not restricted or keyword not in OF_FIRST:
                yield keyword


COUNTED = frozenset(keyword for keywords in COMPUTED.values() for keyword in keywords) - {
    "AvailableTransferSyntaxUID"
}
"""What is counted or collected from what is below."""

OWN_CHARSET = "00080005"
"""The header's Specific Character Set, as DICOM JSON has its tag."""

LONGEST = {"CS": 16, "SH": 16, "LO": 64}
"""Characters of a value (PS3.5 6.2), where spaces at its beginning are not significant."""

MOMENTS = (
    ("StudyDate", "StudyTime"),
    ("SeriesDate", "SeriesTime"),
    ("PatientBirthDate", "PatientBirthTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
)
"""Dates and times that are matched as one, where that was negotiated (PS3.4 C.2.2.2.5.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPlan:
    """What is done for a question.

    Attributes
    ----------
    narrowings
        What the database leaves out for it.
    compared
        Keys whose values are compared with those of each candidate, by keyword.
    moments
        Keywords of date and time that are compared as one.
    below
        Keys that something below a candidate has to meet all at once, by its level.
    wanted
        What is to be known of a candidate.
    counted_above
        The levels above of which it is to be known what is below them.
    sop_classes
        Whether also which SOP classes.
    examined
        Keywords or tags of the keys for which headers are read; where there are any, the
        candidates are to be few.
    """

    narrowings: tuple[Narrowing, ...]
    compared: Mapping[str, tuple[str, ...]]
    moments: tuple[tuple[str, str], ...]
    below: Mapping[Level, Mapping[str, tuple[str, ...]]]
    wanted: WantedFacts
    counted_above: tuple[Level, ...]
    sop_classes: bool
    examined: tuple[str, ...]


def plan_of(question: Question, *, restricted: bool = False) -> QueryPlan:
    """Return how a question is answered.

    Parameters
    ----------
    restricted
        Whether something is hidden from who asks: what rows have of the image that came first may
        be of a hidden one, and the header of the first visible one counts.

    Raises
    ------
    IdentifierMismatch
        A number of what is below an entity of a lower level is to match.
    """
    asked = {keyword: values for keyword in question.keys if (values := _values(question, keyword))}
    moments = tuple(_moments(question, asked))
    paired = {keyword for pair in moments for keyword in pair}
    below: dict[Level, dict[str, tuple[str, ...]]] = {}
    for keyword, given in question.below.items():
        if values := _matched(keyword, given):
            if keyword in _NUMBERS:
                raise IdentifierMismatch(f"{keyword} is no key at {question.level.name} level")
            below.setdefault(LEVELS[keyword], {})[keyword] = values
    lower = {keyword: values for keys in below.values() for keyword, values in keys.items()}
    narrowings = tuple(
        narrowing
        for keyword, values in {**asked, **lower}.items()
        if (narrowing := _narrowing(keyword, values)) is not None
    )
    columns = set(columns_of(question.level, restricted=restricted))
    of_header = [
        keyword
        for keyword in (*question.keys, *question.below)
        if keyword not in columns and keyword not in COUNTED
    ]
    known = columns | (NARROWED - (OF_FIRST if restricted else frozenset())) | COUNTED
    examined = [keyword for keyword in asked if keyword not in known]
    examined += [
        keyword_for_tag(tag) or json_tag(tag) for tag, key in question.others.items() if key.asks
    ]
    deep = {
        level: headed
        for level, keys in below.items()
        if (headed := {k: v for k, v in keys.items() if k not in COUNTED})
        and (len(keys) > 1 or not _is_told(*next(iter(headed.items())), restricted=restricted))
    }
    examined += [keyword for keys in deep.values() for keyword in keys if keyword not in examined]
    counted = {LEVELS[keyword] for keyword in question.keys if keyword in COUNTED}
    tags = [*tags_of(of_header), *map(json_tag, question.others)]
    return QueryPlan(
        narrowings=narrowings,
        compared={
            keyword: values
            for keyword, values in asked.items()
            if keyword not in paired and not _is_exact(keyword)
        },
        moments=moments,
        below=deep,
        wanted=WantedFacts(
            keywords=(columns | (frozenset() if restricted else DATES))
            & {*question.keys, *question.unique_above},
            tags=(*tags, OWN_CHARSET) if tags else (),
            modalities="ModalitiesInStudy" in question.keys,
            files=question.availability,
        ),
        counted_above=tuple(sorted(counted - {question.level})),
        sop_classes="SOPClassesInStudy" in question.keys,
        examined=tuple(examined),
    )


def tags_of(keywords: Iterable[str]) -> list[str]:
    """Return the tags of attributes, as DICOM JSON has them."""
    return [json_tag(TAGS[keyword]) for keyword in keywords]


def _values(question: Question, keyword: str) -> tuple[str, ...]:
    return _matched(keyword, question.keys[keyword])


def _matched(keyword: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return what an attribute has to match; nothing of a key that matches whatever there is."""
    values = tuple(text for value in given if (text := value.strip(" \0")))
    if any(is_universal(dictionary_VR(TAGS[keyword]), value) for value in values):
        return ()
    return values


def _is_exact(keyword: str) -> bool:
    """Tell whether the database leaves out all that does not match."""
    return keyword in NARROWED and dictionary_VR(TAGS[keyword]) == "UI"


def _is_told(keyword: str, values: tuple[str, ...], *, restricted: bool) -> bool:
    """Tell whether the database knows exactly where a key of a lower level is met."""
    if keyword not in NARROWED or (restricted and keyword in OF_FIRST | {"StudyDate"}):
        return False
    if dictionary_VR(TAGS[keyword]) == "DA":
        return len(values) == 1 and date_range(values[0]) is not None
    return not any("*" in value or "?" in value for value in values)


def _moments(question: Question, asked: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for pair in MOMENTS if question.combined else ():
        if all(len(asked.get(keyword, ())) == 1 for keyword in pair):
            yield pair


def _narrowing(keyword: str, values: tuple[str, ...]) -> Narrowing | None:
    if keyword not in NARROWED:
        return None
    vr = dictionary_VR(TAGS[keyword])
    if vr == "DA":
        if len(values) != 1 or (days := date_range(values[0])) is None:
            return Within(keyword=keyword, first=None, last=None)
        return Within(keyword=keyword, first=days[0], last=days[1])
    if vr == "PN":
        return Like(keyword=keyword, patterns=values, name=True)
    if vr in WILDCARD_VRS and any("*" in value or "?" in value for value in values):
        return Like(keyword=keyword, patterns=values)
    if vr in LONGEST:
        values = tuple(one for value in values for one in _with_spaces(value, LONGEST[vr]))
    return Among(keyword=keyword, values=values)


def _with_spaces(value: str, longest: int) -> Iterator[str]:
    """Yield a value with all the spaces that may stand before it: they do not count there."""
    for spaces in range(max(longest - len(value), 0) + 1):
        yield " " * spaces + value
