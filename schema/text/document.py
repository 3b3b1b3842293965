"""Values as JSON: one way to write them, for every document and every record of a log.

A moment is written as RFC 3339 has it, in UTC with ``Z``. What the database and the clock give
is UTC, whether it says so or not. A date from a DICOM header (`study_date`) is a day of the
hospital's own calendar: it is no moment, has no time zone, and is written as a day.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any

from schema.text.harmless import in_json

_DAY = "_date"
"""How the name of what is a day ends; a moment's ends with ``_on``."""


def to_json(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Write a value as JSON: mappings, sequences, dataclasses, dates, enums, paths.

    Parameters
    ----------
    value
        What cannot be anything else is written as its text.
    indent
        Spaces for each level; all in one line when None.
    ascii_only
        Escape whatever is not ASCII, for a reader that speaks nothing else.
    """
    return in_json(json.dumps(plain(value), ensure_ascii=ascii_only, indent=indent))


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever there is to write
    """Return a value as JSON's own kinds."""
    if is_dataclass(value) and not isinstance(value, type):
        # not asdict, which makes of a Counter another one, that counts its pairs
        value = {one.name: getattr(value, one.name) for one in fields(value)}
    elif isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        return {str(key): _named(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in value]
        return sorted(items) if isinstance(value, set | frozenset) else items
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return rfc3339(value)
    return value.isoformat() if isinstance(value, date | time) else str(value)


def rfc3339(moment: datetime, *, timespec: str = "auto") -> str:
    """Write a moment in UTC: ``2026-01-31T08:30:00Z``.

    Parameters
    ----------
    moment
        Of any time zone; without one, it is UTC already.
    timespec
        As `datetime.isoformat` has it.
    """
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec=timespec)}Z"


def _named(name: str, value: object) -> object:
    if name.endswith(_DAY) and isinstance(value, datetime):
        value = value.date()
    return plain(value)
