"""One key of a question as it is typed: which attribute, and what it has to match."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.uid import UID

from node.dicom.asking.moments import date_range, moment_range, time_range
from node.errors import UsageError

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_ITEM = re.compile(r"(.+?)\[(\d+)\]")
_UID = re.compile(r"[0-9.]{1,64}")
_NO_KEYS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "NONE"})
"""Value representations that nothing is matched by."""

_WHOLE = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "IS"})
_DECIMAL = frozenset({"FL", "FD", "DS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a question.

    Attributes
    ----------
    path
        Its tag; before it those of the sequences that it is in, the outermost first.
    values
        What it has to match, as DICOM writes it; none where it is only asked to be told.
    """

    path: tuple[int, ...]
    values: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its keywords, with dots between them."""
        return ".".join(map(name_of, self.path))

    @property
    def keyword(self) -> str:
        """The keyword of what is asked for at the top, be it a sequence."""
        return name_of(self.path[0])

    @property
    def is_list(self) -> bool:
        """Whether it has several values that are no UIDs: no peer need understand that."""
        return len(self.values) > 1 and vr_of(self.path[-1]) != "UI"


def read_key(text: str, *, today: date) -> Key:
    """Read ``KEYWORD=VALUE``, or ``KEYWORD`` alone.

    Parameters
    ----------
    today
        What `today` and `-7d` are reckoned from.

    Raises
    ------
    UsageError
        There is no such attribute, or the value cannot match anything.
    """
    name, sign, value = text.partition("=")
    path = tuple(_path(name))
    vr = vr_of(path[-1])
    given = value.strip()
    if not sign or not given:
        return Key(path=path)
    label = ".".join(map(name_of, path))
    if vr == "SQ":
        raise UsageError(
            f"{label} is a sequence: what its items have to match is named below it, as in "
            f"-k '{label}[0].KEYWORD=VALUE'"
        )
    if vr in _NO_KEYS:
        raise UsageError(f"{label} ({vr}) cannot be matched; without a value it is asked for")
    try:
        return Key(path=path, values=tuple(_values(given, vr, today)))
    except UsageError as error:
        raise UsageError(f"-k {label}: {error}") from error


def name_of(tag: int) -> str:
    """Return the keyword of a tag; as ggggeeee where it has none."""
    return keyword_for_tag(tag) or f"{tag:08X}"


def vr_of(tag: int) -> str:
    """Return the value representation of a tag; the first where there are several, UN without."""
    try:
        return str(dictionary_VR(tag)).split(" or ")[0]
    except KeyError:
        return "UN"


def _path(name: str) -> Iterator[int]:
    parts = name.strip().split(".")
    for position, part in enumerate(parts):
        inner = part.strip()
        if found := _ITEM.fullmatch(inner):
            inner, number = found[1], int(found[2])
            if number:
                raise UsageError(
                    f"{name}: the sequence of a question has one item (PS3.4 C.2.2.2.6): [0]"
                )
        tag = tag_of(inner)
        last = position == len(parts) - 1
        if not last and vr_of(tag) != "SQ":
            raise UsageError(f"{name}: {name_of(tag)} is no sequence: there is nothing below it")
        yield tag


def tag_of(name: str) -> int:
    """Return the tag that a name is of: a keyword in letters of either case, or gggg,eeee.

    Raises
    ------
    UsageError
        There is none in the data dictionary (PS3.6); the message says what may have been meant.
    """
    if found := _TAG.fullmatch(name):
        tag = int(found[1] + found[2], 16)
        if not keyword_for_tag(tag):
            raise UsageError(
                f"({found[1]},{found[2]}) is no attribute of the data dictionary; private ones "
                "cannot be asked for"
            )
        return tag
    known = _keywords()
    tag_or_none = known.get(name.lower())
    if tag_or_none is not None:
        return tag_or_none
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.7)
    meant = " or ".join(name_of(known[one]) for one in near)
    hint = f"; did you mean {meant}?" if near else ""
    raise UsageError(
        f"{name or 'nothing'!s} is no attribute: a key is named by its keyword, such as "
        f"PatientName, or by its tag, such as 0010,0010{hint}"
    )


@lru_cache(maxsize=1)
def _keywords() -> dict[str, int]:
    return {entry[4].lower(): tag for tag, entry in DicomDictionary.items() if entry[4]}


def _values(text: str, vr: str, today: date) -> Iterator[str]:
    if vr == "DA":
        yield date_range(text, today)
    elif vr == "TM":
        yield time_range(text)
    elif vr == "DT":
        yield moment_range(text, today)
    elif vr in {"UI", "CS"}:
        for part in filter(None, re.split(r"[,\\\s]+", text) if vr == "UI" else _listed(text)):
            yield _uid(part) if vr == "UI" else part.upper()
    elif vr in _WHOLE | _DECIMAL:
        yield _number(text, whole=vr in _WHOLE)
    elif vr == "AT":
        yield f"{tag_of(text):08X}"
    else:
        yield text


def _listed(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,\\]", text)]


def _uid(text: str) -> str:
    if not _UID.fullmatch(text):
        raise UsageError(f"{text!r} is no UID, and UIDs have no wildcards (PS3.4 C.2.2.2.4)")
    return str(UID(text))


def _number(text: str, *, whole: bool) -> str:
    try:
        int(text) if whole else float(text)
    except ValueError:
        kind = "whole number" if whole else "number"
        raise UsageError(f"{text!r} is no {kind}") from None
    return text
