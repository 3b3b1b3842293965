"""Copies of what is in quarantine, with a list that says why it is there."""

import asyncio
import csv
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import StorageError
from schema import Quarantined
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
        Made when it is missing. Files of an earlier export are replaced.

    Raises
    ------
    StorageError
        When the folder does not take them.
    """
    missing: list[int] = []
    files = 0
    listing = folder / LISTING
    draft = folder / f".{LISTING}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["file", *_COLUMNS])
                async for row in objects:
                    name = await asyncio.to_thread(_copied, row, folder)
                    files += name is not None
                    if name is None:
                        missing.append(row.id)
                    writer.writerow([name or "", *(_cell(getattr(row, key)) for key in _COLUMNS)])
            draft.replace(listing)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}") from error
    return Copies(listing=listing, files=files, missing=tuple(missing))


def _cell(value: object) -> object:
    return in_list(value) if isinstance(value, str) else value


def _copied(row: Quarantined, folder: Path) -> str | None:
    """Copy an object, and return its new name; None when it cannot be read."""
    name = f"{row.id}-{Path(row.filepath).name}"
    draft = folder / f".{name}.{os.getpid()}"
    try:
        source = open_regular(row.filepath)
    except OSError:
        return None
    with source:
        try:
            with draft.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            draft.replace(folder / name)
        finally:
            draft.unlink(missing_ok=True)
    return name
