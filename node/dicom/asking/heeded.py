"""Whether a peer has applied the keys of a question: its matches are held against them.

A peer may pass over a key that it does not know (PS3.4 C.4.1.3.1: an optional key that is not
supported is not matched), and then answers with more than was asked for. What is said here is said
of matches that plainly do not match: whoever compares names, cases or times more generously than
the standard raises no alarm.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.dicom.asking.answered import Said
from node.dicom.asking.keys import Key, name_of, vr_of
from node.dicom.asking.question import KeyedQuestion
from node.dicom.querying.matching import WILDCARD_VRS, matches
from node.dicom.querying.wildcards import wildcards

_UNJUDGED = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ"})
_DATE_OF: Mapping[str, str] = {
    "StudyTime": "StudyDate",
    "SeriesTime": "SeriesDate",
    "AcquisitionTime": "AcquisitionDate",
    "ContentTime": "ContentDate",
    "InstanceCreationTime": "InstanceCreationDate",
    "PatientBirthTime": "PatientBirthDate",
}
_BETWEEN_WORDS = re.compile(r"[\^=,\s]+")
_OFFSET = re.compile(r"[+-]\d{4}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnheededKey:
    """A key that a peer may have ignored.

    Attributes
    ----------
    key
        Its name.
    differing
        How many matches have another value; 0 where no match says what it has.
    """

    key: str
    differing: int


def unheeded_keys(
    question: KeyedQuestion, answers: Sequence[Said], *, fuzzy: bool = False
) -> list[UnheededKey]:
    """Return the keys that a peer may have ignored, in their order.

    Parameters
    ----------
    answers
        What each match says: `node.dicom.asking.answered.said_by`.
    fuzzy
        Whether names may be matched fuzzily (PS3.4 C.2.2.2.1.1): they are not judged then.
    """
    dated = {key.keyword for key in question.keys if key.values}
    found = []
    for key in question.keys if answers else ():
        vr = vr_of(key.path[-1])
        if not any(value.strip("*") for value in key.values) or vr in _UNJUDGED:
            continue
        said = [list(_texts(answer, key.path)) for answer in answers]
        if not any(said):
            found.append(UnheededKey(key=key.name, differing=0))
            continue
        if (fuzzy and vr == "PN") or _DATE_OF.get(key.keyword) in dated:
            continue  # a date and its time may have been matched as one moment
        differing = sum(bool(one) and _differs(vr, key, one) for one in said)
        if differing:
            found.append(UnheededKey(key=key.name, differing=differing))
    return found


def _texts(answer: Said, path: Sequence[int]) -> Iterator[str]:
    """Yield the values of an attribute: of all items, where it is in a sequence."""
    value = answer.get(name_of(path[0]))
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            if path[1:]:
                yield from _texts(one, path[1:])
        elif one is not None and str(one).strip() and not path[1:]:
            yield str(one)


def _differs(vr: str, key: Key, values: Collection[str]) -> bool:
    """Tell whether values plainly do not match a key."""
    texts = (*key.values, *values)
    if vr == "UI" or vr in {"DA", "TM", "DT"}:
        if vr == "DT" and any(_OFFSET.search(one) for one in texts):
            return False  # each reckons with a time zone of his own
        readable = vr == "UI" or all(matches(vr, [one], [one]) for one in values)
        is_pattern = any({"*", "?"} & set(one) for one in key.values)
        return readable and not is_pattern and not matches(vr, key.values, list(values))
    if not all(one.isascii() for one in texts):
        return False  # letters are compared in many ways, and lost on the way through charsets
    plain = [" ".join(one.lower().split()) for one in texts]
    wanted, have = plain[: len(key.values)], plain[len(key.values) :]
    if vr == "PN":
        return not any(_may_be(one, value) for one in wanted for value in have)
    if vr not in WILDCARD_VRS and any({"*", "?"} & set(one) for one in wanted):
        return False
    return not matches(vr, wanted, have)


def _may_be(key: str, name: str) -> bool:
    """Tell whether each word of a key may begin one of a name, in whichever order they stand."""
    words = [one for one in _BETWEEN_WORDS.split(name) if one]
    patterns = [wildcards(f"{one}*") for one in _BETWEEN_WORDS.split(key) if one.strip("*")]
    whole = wildcards(f"*{key.strip('*^= ')}*")
    return whole.matches(name) or all(
        any(pattern.matches(word) for word in words) for pattern in patterns
    )
