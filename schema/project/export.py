"""A project as files: which studies it has, and the rows of their images, as CSV.

Both are read in one snapshot and streamed. The files get their names when both are
complete (`drafts`): an export that was broken off leaves what was there before.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from schema.dumping.csvfile import CsvFile
from schema.dumping.drafts import Drafts
from schema.engine.either import asynchronous
from schema.project.members import Member, get_project_members
from schema.tables.models import Image
from schema.tables.rows import plain_columns, snapshot
from schema.tables.statements import table_of
from schema.tables.views import project_members

STUDIES = "studies.csv"
IMAGES = "images.csv"

_PAGE = 500
_STUDY_COLUMNS = (
    "study_uid",
    "accession_number",
    "patient_id",
    "study_date",
    "modalities",
    "peer",
    "state",
    "expected_images",
    "received_images",
    "retrieved_on",
    "attempts",
    "next_attempt_on",
    "last_error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that was written, and how many rows it has below its header."""

    path: Path
    rows: int


@asynchronous
async def export_project(
    session: AsyncSession,
    project_id: int,
    output: str | os.PathLike[str],
    *,
    meta: bool = False,
    safe: bool = False,
    watch: Callable[[int], None] = lambda _: None,
) -> tuple[Exported, Exported]:
    """Write a project's studies and images to `studies.csv` and `images.csv`.

    Parameters
    ----------
    session
        When its transaction has begun already, that is what is read in.
    output
        The folder; made when it is missing. Files of these names in it are replaced.
    meta
        Write the headers as well, as DICOM JSON: some kilobytes for each image.
    safe
        Put an apostrophe before texts that a spreadsheet would run as a formula.
    watch
        Called with the number of images that were written last.

    Returns
    -------
    tuple[Exported, Exported]
        The studies, with those that nobody has found yet; the images that are here.

    Raises
    ------
    OSError
        When a file cannot be written. What was there before is still there.
    """
    folder = Path(output)
    images = _image_columns(meta=meta)
    with Drafts(folder, "export") as drafts:
        parts = {name: drafts.path(name) for name in (STUDIES, IMAGES)}
        async with snapshot(session) as connection:
            members = await get_project_members(session, project_id)
            counts = [
                await _write(parts[STUDIES], _study_table(), _paged(members), safe=safe),
                await _write(
                    parts[IMAGES],
                    images,
                    _image_rows(connection, images, project_id, watch),
                    safe=safe,
                ),
            ]
        await asyncio.to_thread(drafts.finish)
    studies_file, images_file = (
        Exported(path=folder / name, rows=count)
        for name, count in zip((STUDIES, IMAGES), counts, strict=True)
    )
    return studies_file, images_file


def _study_table() -> Table:
    counts = ("expected_images", "received_images", "attempts")
    columns = (Column(name, Integer if name in counts else Text) for name in _STUDY_COLUMNS)
    return Table("studies", MetaData(), *columns)


def _image_columns(*, meta: bool) -> Table:
    columns = table_of(Image).columns
    wanted = (Column(one.name, one.type) for one in columns if meta or one.name != "meta")
    return Table("images", MetaData(), *wanted)


async def _paged(members: Sequence[Member]) -> AsyncIterator[list[tuple[Any, ...]]]:
    for first in range(0, len(members), _PAGE):
        yield [
            tuple(getattr(member, name) for name in _STUDY_COLUMNS)
            for member in members[first : first + _PAGE]
        ]


async def _image_rows(
    connection: AsyncConnection, images: Table, project_id: int, watch: Callable[[int], None]
) -> AsyncIterator[Sequence[Sequence[Any]]]:
    studies = select(project_members.c.study_uid).where(project_members.c.project_id == project_id)
    query = (
        select(*plain_columns(images)).where(images.c.study_uid.in_(studies)).order_by(images.c.id)
    )
    result = await connection.stream(query, execution_options={"yield_per": _PAGE})
    try:
        async for rows in result.partitions():
            yield rows
            watch(len(rows))
    finally:
        await result.close()


async def _write(
    path: Path, table: Table, pages: AsyncIterator[Sequence[Sequence[Any]]], *, safe: bool
) -> int:
    file = await asyncio.to_thread(CsvFile, path, table, safe=safe)
    count = 0
    try:
        async for rows in pages:
            await asyncio.to_thread(file.write, rows)
            count += len(rows)
    finally:
        await asyncio.to_thread(file.close)
    return count
