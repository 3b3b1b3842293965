"""Received images go into the index, a batch at a time.

A batch is put in with a fixed number of statements, whatever it holds: what is known is
selected, what is missing is inserted level by level with ON CONFLICT DO NOTHING, in sorted
order, and what another writer inserted in between is selected again. Nothing relies on a
failing statement, no id is burnt for a row that is known, and no row is ever re-parented: an
image that says another study or another patient than its series and study are known under is
kept where they are, and its `flag` says so.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from typing import Any

import orjson
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either, in_thread
from schema.engine.faults import parents_may_go
from schema.errors import DatabaseUnavailable
from schema.hierarchy.childless import Made, remove_leftovers
from schema.hierarchy.parents import KnownSeries, Parents, resolve_parents
from schema.hierarchy.persons import note_other_persons
from schema.inventory import Held
from schema.judgement import Known
from schema.record import DicomSource, ImageRecord, read_record
from schema.tables.models import Image, Series, Study
from schema.tables.rows import row_of
from schema.tables.statements import among, insert_new, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of one image of a batch.

    Attributes
    ----------
    inserted
        Whether this call put it into the index; otherwise it was there already, or came
        twice in the batch.
    id, sha256, filepath
        Of the row that is now in the index, whoever put it there.
    """

    image_uid: str
    inserted: bool
    id: int
    sha256: str | None
    filepath: str | None


@either
async def add_images(session: AsyncSession, records: Iterable[ImageRecord]) -> list[Added]:
    """Put images into the index, with their patients, studies and series.

    Parameters
    ----------
    session
        The caller's, best from `Database.begin()`; it is the caller who commits.
    records
        Any mixture of new and known ones. Of two with one SOP Instance UID the first wins.

    Returns
    -------
    list[Added]
        One for each record, in the same order.

    Raises
    ------
    DatabaseUnavailable
        As a conflict, when another session deletes rows that this one has just looked up:
        `Database.run` and `retrying` run it again.
    """
    batch = list(records)
    present = await _select_images(session, {record.image_uid for record in batch})
    fresh: dict[str, ImageRecord] = {}
    for record in batch:
        if record.image_uid not in present:
            fresh.setdefault(record.image_uid, record)
    inserted: set[str] = set()
    if fresh:
        added = await _insert(session, list(fresh.values()))
        inserted.update(added)
        present.update(added)
        if missing := fresh.keys() - added.keys():
            present.update(await _select_images(session, missing))
    results = []
    for record in batch:
        uid = record.image_uid
        if (row := present.get(uid)) is None:
            raise DatabaseUnavailable("an image's row was removed meanwhile", conflict=True)
        row_id, sha256, filepath = row
        results.append(
            Added(
                image_uid=uid,
                inserted=uid in inserted,
                id=row_id,
                sha256=sha256,
                filepath=filepath,
            )
        )
        inserted.discard(uid)
    return results


@either
async def add_image(
    session: AsyncSession,
    dcm: DicomSource | ImageRecord,
    institution: str | None = None,
    filepath: str | PathLike[str] | None = None,
) -> Image | None:
    """Put one image into the index.

    Parameters
    ----------
    session
        The caller's, of either kind (a synchronous one needs no `await`); it is the caller who
        commits.
    dcm
        A dataset, the path of a DICOM file (then also the `filepath`), encoded bytes, or a
        record that was read before.
    institution
        The institution whose patient this is.
    filepath
        Where the image's file is.

    Returns
    -------
    Image | None
        None when the SOP Instance UID is in the index already.

    Raises
    ------
    InvalidDicom
        When there is no usable dataset.
    """
    if not isinstance(dcm, ImageRecord):
        # A header may be slow to read; the event loop goes on meanwhile.
        read = functools.partial(read_record, dcm, institution=institution, filepath=filepath)
        dcm = await in_thread(session, read)
    added = (await add_images(session, [dcm]))[0]
    return await session.get_one(Image, added.id) if added.inserted else None


async def replace_image(session: AsyncSession, held: Held, record: ImageRecord) -> bool:
    """Put an image into the index in the place of another one with its SOP Instance UID.

    Returns
    -------
    bool
        Whether it was done; otherwise the other one's row does not say any more what was seen.
    """
    above = (
        select(Image.series_id, Series.study_id, Study.patient_id)
        .outerjoin(Series, Series.id == Image.series_id)
        .outerjoin(Study, Study.id == Series.study_id)
        .where(Image.id == held.id)
    )
    rows = (await session.execute(above)).all()
    series, studies, patients = (
        {key for row in rows if (key := row[level]) is not None} for level in range(3)
    )
    gone = await session.scalars(
        delete(Image)
        .where(
            Image.id == held.id,
            Image.filepath.is_not_distinct_from(held.filepath),
            Image.sha256.is_not_distinct_from(held.sha256),
        )
        .returning(Image.id)
        .execution_options(synchronize_session=False)
    )
    if not gone.all():
        return False
    await add_images(session, [record])
    # SQLite gives the key of the last row away again
    await _renew(session, Image.image_uid == record.image_uid, held.revision + 1)
    made = Made(series=series, studies=studies, patients=patients, contended=True)
    await remove_leftovers(session, made)
    return True


@either
async def replace_file(
    session: AsyncSession,
    image_id: int,
    *,
    filepath: str,
    sha256: str | None,
    size: int | None,
    transfer_syntax_uid: str | None,
    received_on: datetime | None = None,
    source: str | None = None,
    node: str | None = None,
    source_address: str | None = None,
    attempt_id: int | None = None,
    storage_id: str | None = None,
    parsed_from: str | None = None,
    seen: Known | None = None,
) -> bool:
    """Let an image's row name another file: the one that it named is gone, or there was none.

    Parameters
    ----------
    image_id
        As `Added.id` has it.
    filepath, sha256, size, transfer_syntax_uid
        Of the file that is there now.
    received_on, source, node, source_address, attempt_id
        Of a file that has just been received; else the row's own stay.
    storage_id
        Of the storage directory that holds the file that is there now.
    parsed_from
        Where the row's file lay outside the storage directory; else the row's own stays.
    seen
        What the row said when this was decided; None when it does not matter.

    Returns
    -------
    bool
        False when the row says something else by now: it is as it was then.
    """
    values: dict[str, Any] = {
        "filepath": filepath,
        "sha256": sha256,
        "size": size,
        "transfer_syntax_uid": transfer_syntax_uid,
        "storage_id": storage_id,
        "revision": Image.revision + 1,
    }
    if received_on is not None:
        values |= {"received_on": received_on, "source": source, "node": node}
        values |= {"source_address": source_address, "attempt_id": attempt_id}
    if parsed_from is not None:
        values["parsed_from"] = parsed_from
    statement = update(Image).where(Image.id == image_id)
    if seen is not None:
        statement = statement.where(
            Image.filepath.is_not_distinct_from(seen.filepath),
            Image.sha256.is_not_distinct_from(seen.sha256),
            Image.size.is_not_distinct_from(seen.size),
        )
    replaced = await session.scalars(
        statement.values(**values).returning(Image.id).execution_options(synchronize_session=False)
    )
    return replaced.one_or_none() is not None


async def still_names(
    session: AsyncSession, image_id: int, filepath: str | None, *, renewed: bool = False
) -> bool:
    """Tell whether a row names a file, and let nobody change the row until this transaction ends.

    A session that writes is needed: on SQLite nobody else writes then, on PostgreSQL the row is
    locked. Where the file is another one under that name (`renewed`), the row's `revision` says so.
    """
    query = select(Image.filepath).where(Image.id == image_id).with_for_update()
    row = (await session.execute(query)).one_or_none()
    names = row is not None and row.filepath == filepath
    if names and renewed:
        await _renew(session, Image.id == image_id, Image.revision + 1)
    return names


async def _renew(
    session: AsyncSession, which: ColumnElement[bool], revision: int | ColumnElement[int]
) -> None:
    statement = update(Image).where(which).values(revision=revision)
    await session.execute(statement.execution_options(synchronize_session=False))


async def _select_images(
    session: AsyncSession, uids: Iterable[str]
) -> dict[str, tuple[int, str | None, str | None]]:
    query = select(Image.image_uid, Image.id, Image.sha256, Image.filepath).where(
        among(session, Image.image_uid, sorted(uids))
    )
    return {uid: (id_, sha256, path) for uid, id_, sha256, path in await session.execute(query)}


async def _insert(
    session: AsyncSession, records: Sequence[ImageRecord]
) -> dict[str, tuple[int, str | None, str | None]]:
    """Insert images that are not known, with what is above them; return what was inserted."""
    with parents_may_go():
        parents = await resolve_parents(session, records)
        await note_other_persons(session, records, parents)
        rows = [
            _row(record, parents) for record in sorted(records, key=lambda record: record.image_uid)
        ]
        returned = await insert_new(
            session,
            table_of(Image),
            rows,
            key=["image_uid"],
            returning=["image_uid", "id", "sha256", "filepath"],
        )
    parents.made.contended |= len(returned) < len(rows)
    await remove_leftovers(session, parents.made)
    return {uid: (id_, sha256, path) for uid, id_, sha256, path in returned}


def _row(record: ImageRecord, parents: Parents) -> dict[str, Any]:
    series = parents.series[record.series_uid]
    row = row_of(record)
    row["series_id"] = series.id
    row["flag"] = _flag(record, series, parents)
    return row


def _flag(record: ImageRecord, series: KnownSeries, parents: Parents) -> str | None:
    """Say how an image's header disagrees with what is known of its series and study."""
    reasons = []
    if series.study_uid is not None and series.study_uid != record.study_uid:
        reasons.append(f"study: the series is known under study {series.study_uid}")
    study = parents.studies.get(series.study_uid or "")
    if study is not None and study.patient_id is not None:
        if study.patient_id != record.patient_id:
            reasons.append(f"patient: the study is known under patient {study.patient_id!r}")
        elif study.institution and record.institution and study.institution != record.institution:
            reasons.append(f"institution: the study is known at {study.institution!r}")
    return "; ".join(reasons) or None


async def have_headers(
    session: AsyncSession, pairs: Sequence[tuple[int, ImageRecord]]
) -> list[bool]:
    """Tell of each pair of a row's key and a record whether they have exactly the same header.

    A row without a header has none that is known to be the same.
    """
    query = select(Image.id, Image.patient_id, Image.study_uid, Image.series_uid)
    query = query.add_columns(Image.sop_class_uid, Image.meta).where(
        among(session, Image.id, sorted({key for key, _ in pairs}))
    )
    rows = {row.id: tuple(row)[1:] for row in await session.execute(query)}
    return [rows.get(key) == _header_of(record) for key, record in pairs]


def _header_of(record: ImageRecord) -> tuple[Any, ...]:
    said = (record.patient_id, record.study_uid, record.series_uid, record.sop_class_uid)
    return (*said, orjson.loads(record.meta))
