"""One value of a list: what a cell means, and what a spreadsheet has made of it.

Pure. What is damaged, or cannot be a value of its attribute, is a problem with its reason; leading
zeros that a spreadsheet has taken away cannot be seen.
"""

import re
from datetime import date

from node.cli.lists.csv_rows import SPACES
from schema.errors import InvalidKey, InvalidProject
from schema.project.entries import check_accession_number, check_study_uid
from schema.project.keys import check_modality, check_patient_id

_LOOKS_LIKE_UID = re.compile(r"(2\.25|[0-2](\.[0-9]+){2,})\.[0-9]+")
_KEPT_AS_TEXT = re.compile(r'="(.*)"')
_SCIENTIFIC = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+[0-9]+")
_MADE_FLOAT = re.compile(r"[0-9]+\.0")
_FAULT = re.compile(r"#(#+|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!|DIV/0!)", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")
_DAY = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})")


def study_uid_in(cell: str) -> str:
    """Return the Study Instance UID that a cell has.

    Raises
    ------
    InvalidKey, InvalidProject
        It has none.
    """
    uid = check_study_uid(_undamaged(cell))
    if _LEADING_ZERO.search(uid):
        raise InvalidKey(
            f"{uid!r} is no Study Instance UID: one of its numbers has a leading zero (PS3.5 9.1)"
        )
    return uid


def accession_number_in(cell: str) -> str:
    """Return the accession number that a cell has; raises as `study_uid_in`."""
    return check_accession_number(_not_made_float(_undamaged(cell)))


def patient_id_in(cell: str) -> str:
    """Return the Patient ID that a cell has; raises as `study_uid_in`."""
    return _literal(check_patient_id(_not_made_float(_undamaged(cell))), "Patient ID")


def issuer_in(cell: str) -> str:
    """Return the Issuer of Patient ID that a cell has; raises as `study_uid_in`."""
    return _literal(check_patient_id(_undamaged(cell)), "Issuer of Patient ID")


def modality_in(cell: str) -> str:
    """Return the modality that a cell has; raises as `study_uid_in`."""
    return check_modality(_undamaged(cell))


def study_date_in(cell: str) -> date:
    """Return the day that a cell has, as 2024-01-31, 2024/01/31 or 20240131.

    Raises
    ------
    InvalidKey
        It is none, or one whose order of day and month nobody knows.
    """
    value = _undamaged(cell)
    parts = _DAY.fullmatch(value)
    try:
        if parts:
            return date(int(parts[1]), int(parts[3]), int(parts[4]))
    except ValueError:
        pass
    raise InvalidKey(f"{value!r} is no day: write it as 2024-01-31 or 20240131")


def looks_like_uid(value: str) -> bool:
    """Tell a UID by its look."""
    return _LOOKS_LIKE_UID.fullmatch(_as_text(value)) is not None


def plain(heading: str) -> str:
    """Return a heading's letters and digits, so that all its spellings are one."""
    return re.sub(r"[^a-z0-9]", "", heading.lower())


def _literal(value: str, what: str) -> str:
    if set(value) & set("*?"):
        raise InvalidKey(f"{value!r} is no {what} in a list: * and ? stand for others in a query")
    return value


def _undamaged(cell: str) -> str:
    value = _as_text(cell)
    if _SCIENTIFIC.fullmatch(value):
        raise InvalidProject(
            f"{value!r} is what a spreadsheet has made of a long number, and its digits are "
            "lost; export the column as text"
        )
    if _FAULT.fullmatch(value):
        raise InvalidProject(f"{value!r} is what a spreadsheet shows in place of a value")
    return value


def _not_made_float(value: str) -> str:
    if _MADE_FLOAT.fullmatch(value):
        raise InvalidProject(
            f"{value!r} is what a program has made of a number, and leading zeros may be lost; "
            "export the column as text"
        )
    return value


def _as_text(value: str) -> str:
    """Return a value without what keeps a spreadsheet from making a number of it."""
    kept = _KEPT_AS_TEXT.fullmatch(value)
    return (kept[1].strip(SPACES) if kept else value).removeprefix("'")
