"""An image's record as a row of `images`; which columns that are is said nowhere else.

A column is in a row when both the table and the record have it. The others are what only a
database gives: the keys, and the comparison with the other images of a series.
"""

from dataclasses import fields
from operator import attrgetter
from typing import Any

from schema.record import ImageRecord
from schema.tables.models import Image
from schema.tables.statements import table_of

_FIELDS = frozenset(field.name for field in fields(ImageRecord))

COLUMNS = tuple(column.name for column in table_of(Image).columns if column.name in _FIELDS)
"""The columns, in the order of the table."""

_values = attrgetter(*COLUMNS)


def row_of(record: ImageRecord) -> dict[str, Any]:
    """Return the values of a record's columns, in the order of `COLUMNS`."""
    row = dict(zip(COLUMNS, _values(record), strict=True))
    row["institution"] = record.institution or None
    return row
