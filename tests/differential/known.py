"""Where Orthanc answers otherwise than the node, why, and what the standard says of it.

Each entry explains one kind of difference, and no other; docs/conformance.md has them as a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR

from node.dicom.querying.levels import LEVELS, Level
from node.dicom.querying.matching import NUMBER_VRS, matches
from tests.differential.comparing import Difference, Kind
from tests.differential.holdings import Holdings
from tests.differential.questions import SEQUENCE, Query, flat

MOMENTS = ("DA", "TM", "DT")

Held = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A key that asks for something, and the values that an entity's images have for it."""

    keyword: str
    key: tuple[str, ...]
    held: Held
    lower: bool

    @property
    def vr(self) -> str:
        """The attribute's value representation."""
        return dictionary_VR(self.keyword)

    @property
    def texts(self) -> set[str]:
        """All values that are held, each by itself."""
        return {text for values in self.held for text in values}

    @property
    def is_met(self) -> bool:
        """Whether one of the images has what is asked for."""
        if self.keyword == SEQUENCE:
            return False
        return any(matches(self.vr, self.key, values) for values in self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A difference that is known.

    Attributes
    ----------
    node, orthanc
        What each does.
    clause
        Of PS3.4, or another part that is named; it decides.
    kinds
        How it shows.
    of_key, of_all
        Whether it explains a difference: by one key that asks for something, or by all of it.
    """

    node: str
    orthanc: str
    clause: str
    kinds: tuple[Kind, ...]
    of_key: Callable[[Asked], bool] | None = None
    of_all: Callable[[Difference, Holdings], bool] | None = None


def explained(difference: Difference, holdings: Holdings) -> list[Known]:
    """Return what explains a difference; nothing where it is not known.

    What only the other has is explained where every key is that the node finds unmet.
    """
    of_kind = [one for one in KNOWN if difference.kind in one.kinds]
    found = [one for one in of_kind if one.of_all is not None and one.of_all(difference, holdings)]
    if found or difference.kind not in (Kind.NODE_HAS_MORE, Kind.OTHER_HAS_MORE):
        return found
    keys = list(asked(difference, holdings))
    if difference.kind is Kind.OTHER_HAS_MORE and not all(key.is_met for key in keys):
        keys = [key for key in keys if not key.is_met]
        by_key = [[one for one in of_kind if one.of_key and one.of_key(key)] for key in keys]
        return [one for group in by_key for one in group] if all(by_key) else []
    return [one for one in of_kind if one.of_key and any(map(one.of_key, keys))]


def asked(difference: Difference, holdings: Holdings) -> Iterator[Asked]:
    """Yield the keys of a query that ask for something."""
    query = difference.query
    for keyword, value in query.keys.items():
        key = flat(value)
        if not any(text.strip() for text in key):
            continue
        of = {"ModalitiesInStudy": "Modality", "SOPClassesInStudy": "SOPClassUID"}
        yield Asked(
            keyword=keyword,
            key=key,
            held=holdings.values(query.level, difference.entity, of.get(keyword, keyword)),
            lower=LEVELS.get(keyword, Level.IMAGE) > query.level,
        )


def _wild(text: str) -> bool:
    return "*" in text or "?" in text


def _leaves_out_a_group(text: str) -> bool:
    """Tell whether a name's key has several component groups, and not all three."""
    groups = text.rstrip("= ").split("=")
    return len(groups) > 1 and sum(bool(group.strip("^ ")) for group in groups) < 3


def _is_whole(vr: str, text: str) -> bool:
    """Tell whether a date or time is written as the standard has it now, to the last place."""
    plain = (
        r"\d{4}(?:0\d|1[0-2])(?!30)[0-3]\d" if vr == "DA" else r"(?:[01]\d|2[0-3])(?:[0-5]\d){2}"
    )
    return re.fullmatch(plain, text) is not None


def _compares_text(asked: Asked) -> bool:
    """Tell whether a date or time, of the key or held, is not one of the plainest form."""
    if asked.vr not in MOMENTS:
        return False
    ends = [end for text in asked.key for end in text.split("-") if end]
    return (
        not ends
        or not asked.texts
        or not all(_is_whole(asked.vr, text) for text in (*ends, *asked.texts))
    )


def _has_no_wildcard_here(query: Query) -> bool:
    return any(
        dictionary_VR(keyword) in ("UI", *MOMENTS) and any(map(_wild, flat(value)))
        for keyword, value in query.keys.items()
    )


def _is_of_any_image(keyword: str) -> bool:
    """Tell whether Orthanc has no list of an attribute, and looks into files for it."""
    return keyword not in LEVELS or keyword == "IssuerOfPatientID"


KNOWN = (
    Known(
        node="Refuses a Patient ID with `*` above the level: it is no single value",
        orthanc="Takes it for a wildcard",
        clause="C.4.1.2.1",
        kinds=(Kind.NODE_REFUSES,),
        of_all=lambda one, _: "*" in "".join(flat(one.query.keys.get("PatientID", ""))),
    ),
    Known(
        node="`*` and `?` in a UID, a date or a time are ordinary characters: nothing matches",
        orthanc="Refuses the query (`0xC000`)",
        clause="C.2.2.2.4",
        kinds=(Kind.OTHER_REFUSES,),
        of_all=lambda one, _: _has_no_wildcard_here(one.query),
    ),
    Known(
        node="A key within a sequence has to match in one of its items",
        orthanc="Matches every sequence",
        clause="C.2.2.2.6",
        kinds=(Kind.OTHER_HAS_MORE,),
        of_key=lambda key: key.keyword == SEQUENCE,
    ),
    Known(
        node="Of a sequence, returns the attributes that the key's item names",
        orthanc="Returns all attributes of its items",
        clause="C.2.2.2.6",
        kinds=(Kind.VALUE,),
        of_all=lambda one, _: one.keyword == SEQUENCE and bool(one.other),
    ),
    Known(
        node="`*` alone matches what has no value as well",
        orthanc="Does not match what has none",
        clause="C.2.2.2.4",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: any(text and not text.strip("* ") for text in key.key),
    ),
    Known(
        node="Numbers are compared as numbers: `07` is `7`",
        orthanc="Compares their text",
        clause="C.2.2.2.1",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: key.vr in NUMBER_VRS and not key.keyword.startswith("NumberOf"),
    ),
    Known(
        node="A count, as a key, has to match",
        orthanc="Matches no entity by a count",
        clause="C.3.4",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: key.keyword.startswith("NumberOf"),
    ),
    Known(
        node="A name of one component group is looked for in each of the three",
        orthanc="Compares the whole value",
        clause="PS3.5 6.2.1",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: (
            key.vr == "PN"
            and any("=" in text for text in key.texts)
            and not all("=" in text for text in key.key)
        ),
    ),
    Known(
        node="A component group that a name's key leaves out may be any",
        orthanc="Compares the whole value",
        clause="PS3.5 6.2.1",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: key.vr == "PN" and any(_leaves_out_a_group(text) for text in key.key),
    ),
    Known(
        node="In a name, letters of every alphabet match in either case",
        orthanc="Those of the ASCII alphabet do, and in the patient's name most others",
        clause="C.2.2.2.1",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: (
            key.vr == "PN"
            and not all(map(str.isascii, key.key))
            and not key.texts.intersection(key.key)
        ),
    ),
    Known(
        node="`?` is one character, and `%` is no wildcard",
        orthanc="`?` is one byte of UTF-8, and `%` beside a wildcard matches nothing",
        clause="C.2.2.2.4",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: (
            (any("?" in text for text in key.key) and not all(map(str.isascii, key.texts)))
            or any("%" in text and _wild(text) for text in key.key)
        ),
    ),
    Known(
        node="Empty components at the end of a name do not count",
        orthanc="Counts them",
        clause="PS3.5 6.2.1",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: (
            key.vr == "PN" and any(text.endswith("^") for text in (*key.key, *key.texts))
        ),
    ),
    Known(
        node="One of several values of an attribute is enough",
        orthanc="Compares all of them as one text",
        clause="C.2.2.2.1",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: any(len(values) > 1 for values in key.held),
    ),
    Known(
        node="Each value of a list may have wildcards, or be any other kind of key",
        orthanc="Compares the values of a list as they are",
        clause="C.2.2.2.2",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: len(key.key) > 1,
    ),
    Known(
        node="An empty value in a list asks for nothing",
        orthanc="Matches what has no value",
        clause="C.2.2.2.2",
        kinds=(Kind.OTHER_HAS_MORE,),
        of_key=lambda key: len(key.key) > 1 and not all(key.key) and () in key.held,
    ),
    Known(
        node="Dates and times are compared as such; what is none matches nothing",
        orthanc="Compares their text",
        clause="C.2.2.2.5",
        kinds=(Kind.OTHER_HAS_MORE, Kind.NODE_HAS_MORE),
        of_key=_compares_text,
    ),
    Known(
        node="Spaces around a value do not count",
        orthanc="Counts those in front of it",
        clause="PS3.5 6.2",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: any(text != text.strip() for text in (*key.key, *key.texts)),
    ),
    Known(
        node="A key of a level below is met where anything below the entity meets it",
        orthanc="Looks at one image of the entity, if at any",
        clause="C.4.1.2.2",
        kinds=(Kind.NODE_HAS_MORE,),
        of_key=lambda key: key.lower,
    ),
    Known(
        node="Answers a key of a level below from the entity's first image",
        orthanc="Returns none of the series' attributes",
        clause="C.4.1.1.3.2",
        kinds=(Kind.VALUE,),
        of_all=lambda one, _: LEVELS.get(one.keyword, Level.PATIENT) > one.query.level,
    ),
    Known(
        node="An attribute of no level, and Issuer of Patient ID, is that of the first image",
        orthanc="Has it of any of its images",
        clause="C.2.2.1.3",
        kinds=(Kind.NODE_HAS_MORE, Kind.OTHER_HAS_MORE),
        of_key=lambda key: _is_of_any_image(key.keyword) and len(key.held) > 1,
    ),
    Known(
        node="Returns an attribute of no level, and Issuer of Patient ID, from the first image",
        orthanc="Returns it from any of its images",
        clause="C.2.2.1.3",
        kinds=(Kind.VALUE,),
        of_all=lambda one, held: (
            _is_of_any_image(one.keyword)
            and len(held.values(one.query.level, one.entity, one.keyword)) > 1
        ),
    ),
    Known(
        node="Modalities in Study has the modalities that there are",
        orthanc="Returns an empty value as well, of a series without one",
        clause="C.3.4",
        kinds=(Kind.VALUE,),
        of_all=lambda one, _: (
            one.keyword == "ModalitiesInStudy" and tuple(filter(None, one.other)) == one.node
        ),
    ),
)
