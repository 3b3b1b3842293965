"""What people look for studies by, checked before anybody is asked (PS3.5 6.2).

What cannot be a value of its attribute matches nothing, anywhere: that nothing was found would be
no answer, and would be taken for one.
"""

import re

from schema.errors import InvalidKey

_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")
"""A code string (PS3.5 6.2, CS) without the blanks that it may have inside: no modality has any
(PS3.3 C.7.3.1.1.1), and whoever types one means two."""
_PATIENT_ID_LENGTH = 64
_ACCESSION_LENGTH = 300
_PADDING = " \0\t\r\n\xa0"


def check_modality(value: str) -> str:
    """Return a modality as datasets have it, in capital letters (PS3.5 6.2, CS).

    Raises
    ------
    InvalidKey
        It is none.
    """
    value = value.strip(_PADDING)
    folded = value.upper() if value.isascii() else value
    if not _MODALITY.fullmatch(folded):
        raise InvalidKey(
            f"{shown(value)} is no modality: that is up to 16 letters, digits and underscores, "
            "such as CT (PS3.5 6.2); each one is named by itself"
        )
    return folded


def check_patient_id(value: str) -> str:
    """Return a Patient ID, or a pattern of one, without its padding (PS3.5 6.2, LO).

    Raises
    ------
    InvalidKey
        It is none.
    """
    return _text(value, "Patient ID", _PATIENT_ID_LENGTH)


def check_accession_pattern(value: str) -> str:
    """Return an accession number, or a pattern of one, without its padding (PS3.5 6.2, SH).

    As long as `check_accession_number` lets it be: there are systems that write, and find, more
    than the standard's 16 characters.

    Raises
    ------
    InvalidKey
        It is none.
    """
    return _text(value, "accession number", _ACCESSION_LENGTH)


def _text(value: str, what: str, longest: int) -> str:
    value = value.strip(_PADDING)
    if not value:
        raise InvalidKey(f"an empty {what} names nothing: say which, or leave it out for any")
    if len(value) > longest:
        raise InvalidKey(
            f"{shown(value)} is no {what}: it has {len(value)} characters, {longest} are the most"
        )
    if not value.isprintable() or "\\" in value:
        raise InvalidKey(
            f"{shown(value)} is no {what}: it has a backslash or control characters (PS3.5 6.2)"
        )
    return value


def shown(value: str) -> str:
    """Return a value with what cannot be printed escaped, and its backslashes as they are."""
    return repr(value if len(value) <= 80 else f"{value[:80]}…").replace("\\\\", "\\")
