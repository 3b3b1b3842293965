"""Copies of what is in quarantine, with a list that says why it is there."""

import asyncio
import csv
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import StorageError
from schema import Quarantined
from schema.dumping.drafts import Drafts
from schema.parsing.scan import open_regular
from schema.text.harmless import in_list

LISTING = "quarantine.csv"

_COLUMNS = (
    "id",
    "kind",
    "reason",
    "sop_instance_uid",
    "study_uid",
    "sha256",
    "source",
    "received_on",
    "filepath",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What was copied.

    Attributes
    ----------
    listing
        The list of all objects.
    files
        How many were copied.
    missing
        The keys of those that could not be read.
    """

    listing: Path
    files: int
    missing: tuple[int, ...]


async def export(objects: AsyncIterator[Quarantined], folder: Path) -> Copies:
    """Copy objects to a folder, and write `quarantine.csv` with a line for each.

    What peers have said passes through `schema.text.harmless`: the list is opened in spreadsheets.

    Parameters
    ----------
    objects
        What to copy.
    folder
        Made when it is missing. Files of an earlier export are replaced, when all is copied.

    Raises
    ------
    StorageError
        When the folder does not take them.
    """
    missing: list[int] = []
    files = 0
    try:
        with Drafts(folder, "quarantine") as drafts:
            with drafts.path(LISTING).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["file", *_COLUMNS])
                async for row in objects:
                    name = await asyncio.to_thread(_copied, row, drafts)
                    files += name is not None
                    if name is None:
                        missing.append(row.id)
                    writer.writerow([name or "", *(_cell(getattr(row, key)) for key in _COLUMNS)])
            await asyncio.to_thread(drafts.finish)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}") from error
    return Copies(listing=folder / LISTING, files=files, missing=tuple(missing))


def _cell(value: object) -> object:
    return in_list(value) if isinstance(value, str) else value


def _copied(row: Quarantined, drafts: Drafts) -> str | None:
    """Copy an object, and return its new name; None when it cannot be read."""
    name = f"{row.id}-{Path(row.filepath).name}"
    try:
        source = open_regular(row.filepath)
    except OSError:
        return None
    with source, drafts.path(name).open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return name
