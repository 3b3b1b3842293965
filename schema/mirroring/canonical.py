"""One form for rows that mean the same, so that a digest says whether two databases agree.

SQLite keeps JSON as it was written; PostgreSQL's JSONB orders the keys, keeps the last of two
equal ones, and writes 1e2 as 100 and -0.0 as 0.0. Both come out alike here.
"""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Table

from schema.header.values import clean_text
from schema.tables.columns import IndexedText
from schema.tables.rows import is_json

Row = tuple[Any, ...]

_SURE_DIGITS = 15
"""Decimal digits that a double keeps for certain: as many can be compared as doubles."""
_SURE_EXPONENT = 300
_INTEGER_DIGITS = 4300
"""Digits of an integer that Python reads (`sys.int_info.default_max_str_digits`)."""

_UNPORTABLE_JSON = ("\\u0000", "\\ud", "\\uD", "NaN", "Infinity")
"""A sign that JSON may have what JSONB refuses: NUL, lone surrogates, NaN. Not a proof."""

_TEXT_OR_WORD = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|NaN|-?Infinity')
"""A whole text of a JSON document, or one of the words that are no JSON."""


class Canonical:
    """The canonical form of a table's rows.

    Parameters
    ----------
    table
        Whose rows they are; JSON is its text.
    exact
        Compare JSON as text, which is enough between two databases of one kind.
    """

    def __init__(self, table: Table, *, exact: bool) -> None:
        columns = enumerate(table.columns)
        self._json = () if exact else tuple(at for at, column in columns if is_json(column))

    def encode(self, row: Row) -> bytes:
        """Return the bytes that stand for the row.

        Raises
        ------
        ValueError
            When what should be JSON is not.
        """
        values = list(row)
        for at in self._json:
            if values[at] is not None:
                values[at] = canonical_json(values[at])
        return orjson.dumps(values, default=bytes.hex)


def canonical_json(text: str) -> str:
    """Return one text for all JSON texts that mean the same; numbers count by their value.

    Raises
    ------
    ValueError
        When it is no JSON.
    """
    try:
        value = json.loads(text, parse_float=_number)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than Python reads
        value = json.loads(text, parse_float=_number, parse_int=_number)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits, a lone surrogate
        return json.dumps(value, sort_keys=True)


@lru_cache(maxsize=1 << 14)
def _number(text: str) -> Any:  # noqa: ANN401
    """Return the same for all ways to write a number, and for no other number."""
    if len(text) <= _SURE_DIGITS and "e" not in text and "E" not in text:
        short = float(text)
        return int(short) if short.is_integer() else short
    number = Decimal(text)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):  # NaN and infinity are no JSON numbers
        raise ValueError(text)  # noqa: TRY004
    written = "".join(map(str, digits)).lstrip("0")
    shortest = written.rstrip("0")
    exponent += len(written) - len(shortest)
    if not shortest:
        return 0
    if exponent >= 0 and len(shortest) + exponent <= _INTEGER_DIGITS:
        return int(number)
    if len(shortest) <= _SURE_DIGITS and abs(exponent) < _SURE_EXPONENT:
        return float(number)
    # No document has this key: what begins with a NUL cannot come from JSONB.
    return {"\x00number": f"{'-' if sign else ''}{shortest}e{exponent}"}


def fitting(columns: Sequence[ColumnElement[Any]], *, portable: bool) -> Callable[[Row], Row]:
    """Return the function that makes rows of these columns such that the target takes them.

    Texts of indexes that somebody else wrote, and that are too long for one, are cut as the
    tables' own columns cut them.

    Parameters
    ----------
    portable
        From SQLite to PostgreSQL: NUL and lone surrogates in texts become U+FFFD, NaN and
        infinity in JSON null, as they do when an image is inserted.
    """
    folds = [
        (at, column.type.fold)
        for at, column in enumerate(columns)
        if isinstance(column.type, IndexedText)
    ]
    make_portable = _portable(columns)

    def convert(row: Row) -> Row:
        if portable:
            row = make_portable(row)
        for at, fold in folds:
            value = row[at]
            if isinstance(value, str) and (folded := fold(value)) is not value:
                row = (*row[:at], folded, *row[at + 1 :])
        return row

    return convert


def _portable(columns: Sequence[ColumnElement[Any]]) -> Callable[[Row], Row]:
    documents = frozenset(at for at, column in enumerate(columns) if is_json(column))

    def convert(row: Row) -> Row:
        return tuple(
            value
            if not isinstance(value, str)
            else _portable_json(value)
            if at in documents
            else clean_text(value)
            for at, value in enumerate(row)
        )

    return convert


def _portable_json(text: str) -> str:
    """Return the JSON with what JSONB refuses replaced; all else stays as it is written.

    Texts and words are replaced where they stand, so that numbers keep all their digits.
    """
    if not any(sign in text for sign in _UNPORTABLE_JSON):
        return text
    return _TEXT_OR_WORD.sub(_portable_part, text)


def _portable_part(found: re.Match[str]) -> str:
    part = found[0]
    if not part.startswith('"'):
        return "null"
    if not any(sign in part for sign in _UNPORTABLE_JSON):
        return part
    return orjson.dumps(clean_text(json.loads(part))).decode()
