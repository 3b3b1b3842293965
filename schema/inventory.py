"""What the index has: of a study, and of files, for those who compare it with the disk.

Rows are read in pages, by their keys, so that memory does not grow with the index. Nothing here
deletes a row: an image whose file is gone keeps its row without `filepath`, and its study is
opened again, so that the next move asks for it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.finding.standing import DOUBTED, doubt
from schema.header.values import clean_text
from schema.tables.columns import utcnow
from schema.tables.models import Image, StudyFind
from schema.tables.statements import among, table_of
from schema.tables.views import project_members

PAGE = 512
"""Rows that are read at once."""

HELD_COLUMNS: tuple[Any, ...] = (
    Image.id,
    Image.image_uid,
    Image.study_uid,
    Image.filepath,
    Image.sha256,
    Image.size,
    Image.sop_class_uid,
    Image.transfer_syntax_uid,
    Image.source,
    Image.node,
    Image.storage_id,
    Image.received_on,
    Image.revision,
)
"""What a `Held` is read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an image's row says about its file; the attributes are columns of `images`."""

    id: int
    image_uid: str
    study_uid: str | None
    filepath: str | None
    sha256: str | None
    size: int | None
    sop_class_uid: str | None
    transfer_syntax_uid: str | None
    source: str | None
    node: str | None
    storage_id: str | None = None
    received_on: datetime | None = None
    revision: int = 0

    @property
    def lost(self) -> bool:
        """Whether it had a file that is known to be gone; an image may also never have had one."""
        return self.filepath is None and self.size is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images; all of them unless said.

    Attributes
    ----------
    study_uids
        Of these studies; empty means any.
    project_id
        Of this project's studies.
    since
        Received then (naive UTC) or later.
    """

    study_uids: Collection[str] = field(default=())
    project_id: int | None = None
    since: datetime | None = None


async def held_page(
    session: AsyncSession, *, after: int = 0, selection: Selection | None = None, limit: int = PAGE
) -> list[Held]:
    """Return the next images in the order of their keys; empty behind the last one.

    Parameters
    ----------
    after
        The key of the last one that has been seen.
    """
    query = select(*HELD_COLUMNS).where(Image.id > after, *conditions_of(session, selection))
    rows = await session.execute(query.order_by(Image.id).limit(limit))
    return [Held(**row) for row in rows.mappings()]


async def count_held(session: AsyncSession, selection: Selection | None = None) -> int:
    """Return how many images a selection has."""
    query = select(func.count()).select_from(Image).where(*conditions_of(session, selection))
    return int((await session.scalars(query)).one())


async def held_by_uid(session: AsyncSession, uids: Iterable[str]) -> dict[str, Held]:
    """Return the images that have these SOP Instance UIDs, by them."""
    query = select(*HELD_COLUMNS).where(among(session, Image.image_uid, sorted(set(uids))))
    rows = (await session.execute(query)).mappings()
    return {row["image_uid"]: Held(**row) for row in rows}


async def held_at(session: AsyncSession, paths: Iterable[str]) -> set[str]:
    """Return those of these paths that the row of an image names."""
    wanted = sorted({clean_text(path) for path in paths})
    query = select(Image.filepath).where(among(session, Image.filepath, wanted))
    return {path for path in await session.scalars(query) if path is not None}


@either
async def count_images(session: AsyncSession, study_uids: Iterable[str]) -> dict[str, int]:
    """Return how many images the index has of each study, by Study Instance UID; 0 for none.

    An image whose file is known to be gone (a size, but no path) is not counted.
    """
    wanted = set(study_uids)
    query = (
        select(Image.study_uid, func.count())
        .where(among(session, Image.study_uid, wanted))
        .where(or_(Image.filepath.is_not(None), Image.size.is_(None)))
        .group_by(Image.study_uid)
    )
    counts: dict[str, int] = dict.fromkeys(wanted, 0)
    for uid, count in await session.execute(query):
        counts[str(uid)] = count
    return counts


async def studies_held(session: AsyncSession, study_uids: Iterable[str]) -> set[str]:
    """Return those of these studies of which the index has an image, with a file or without."""
    wanted = among(session, Image.study_uid, sorted(set(study_uids)))
    query = select(Image.study_uid).where(wanted).distinct()
    return {uid for uid in await session.scalars(query) if uid is not None}


@either
async def image_uids(session: AsyncSession, study_uid: str) -> set[str]:
    """Return the SOP Instance UIDs that the index has of a study."""
    return set(await session.scalars(select(Image.image_uid).where(Image.study_uid == study_uid)))


async def fill_digests(
    session: AsyncSession, digests: Iterable[tuple[int, str | None, str, int]]
) -> None:
    """Store digests of images that have none, and still name the file that was read.

    Parameters
    ----------
    digests
        Key and path of the row, SHA-256 of the dataset in hexadecimal, size of the file in bytes.
    """
    image = table_of(Image)
    statement = (
        update(image)
        .where(
            image.c.id == bindparam("row"),
            image.c.filepath == bindparam("path"),
            image.c.sha256.is_(None),
        )
        .values(sha256=bindparam("digest"), size=bindparam("bytes"))
    )
    rows = [
        {"row": key, "path": path, "digest": sha256, "bytes": size}
        for key, path, sha256, size in digests
    ]
    if rows:
        connection = await session.connection()
        await connection.execute(statement, rows)


async def lose_files(
    session: AsyncSession,
    images: Sequence[Held],
    *,
    gone: Callable[[Sequence[Held]], Awaitable[Sequence[Held]]],
) -> tuple[list[str], Sequence[Held]]:
    """Note that images have no file any more, and open their studies for the next move.

    A row that says anything else by now is left alone. It keeps digest and size, so that the
    same object is known again when it comes.

    Parameters
    ----------
    images
        As they were when their files were missed.
    gone
        Looks again, while nobody can change the rows, and returns those whose files are still
        not there: one may have come meanwhile, under the same name.

    Returns
    -------
    list[str], Sequence[Held]
        The studies that were complete and are to be moved again, by Study Instance UID; one
        that no PACS was asked for cannot be moved. And the images that have no file any more.
    """
    missed = {one.id: one for one in images if one.filepath is not None}
    if not missed:
        return [], ()
    query = select(*HELD_COLUMNS).where(among(session, Image.id, sorted(missed)))
    rows = (await session.execute(query.order_by(Image.id).with_for_update())).mappings()
    unchanged = [held for held in (Held(**row) for row in rows) if held == missed[held.id]]
    lost = await gone(unchanged) if unchanged else ()
    if not lost:
        return [], ()
    await session.execute(
        update(Image)
        .where(among(session, Image.id, [one.id for one in lost]))
        # a size without a path is what says that there was a file
        .values(
            filepath=None,
            storage_id=None,
            size=func.coalesce(Image.size, 0),
            revision=Image.revision + 1,
        )
        .execution_options(synchronize_session=False)
    )
    studies = sorted({one.study_uid for one in lost if one.study_uid is not None})
    # who is recording at this moment that one of them is complete has counted what is lost
    found = select(StudyFind.id).where(among(session, StudyFind.study_uid, studies))
    await session.execute(found.order_by(StudyFind.study_uid).with_for_update(key_share=True))
    reopened = await session.scalars(
        update(StudyFind)
        .where(among(session, StudyFind.study_uid, studies), StudyFind.retrieved_on.is_not(None))
        .values(
            retrieved_on=None,
            evidence=None,
            state=DOUBTED,
            attempts=0,
            next_attempt_on=None,
            last_error=clean_text("files of it are gone from the storage directory"),
            updated_on=utcnow(),
        )
        .returning(StudyFind.study_uid)
        .execution_options(synchronize_session=False)
    )
    again = sorted(reopened)
    await doubt(session, studies)
    return again, lost


async def storage_ids(session: AsyncSession) -> set[str]:
    """Return the ids of all storage directories that hold files of images."""
    query = select(Image.storage_id).where(Image.storage_id.is_not(None)).distinct()
    return {one for one in await session.scalars(query) if one is not None}


async def claim_files(session: AsyncSession, images: Sequence[Held], storage_id: str) -> int:
    """Note which storage directory holds images' files, where their rows are as they were.

    Returns
    -------
    int
        How many rows say so now.
    """
    claimed = 0
    for former in {one.storage_id for one in images}:
        paths = {one.id: one.filepath for one in images if one.storage_id == former}
        query = select(Image.id, Image.filepath).where(
            among(session, Image.id, sorted(paths)), Image.storage_id.is_not_distinct_from(former)
        )
        rows = (await session.execute(query.order_by(Image.id).with_for_update())).all()
        keys = [key for key, path in rows if path == paths[key]]
        if keys:
            await session.execute(
                update(Image)
                .where(among(session, Image.id, keys))
                .values(storage_id=storage_id)
                .execution_options(synchronize_session=False)
            )
        claimed += len(keys)
    return claimed


def conditions_of(session: AsyncSession, selection: Selection | None) -> list[ColumnElement[bool]]:
    """Return the conditions on `images` that a selection comes to."""
    conditions: list[ColumnElement[bool]] = []
    if selection is not None:
        if selection.study_uids:
            conditions.append(among(session, Image.study_uid, sorted(selection.study_uids)))
        if selection.project_id is not None:
            of_project = select(project_members.c.study_uid).where(
                project_members.c.project_id == selection.project_id
            )
            conditions.append(Image.study_uid.in_(of_project))
        if selection.since is not None:
            conditions.append(Image.received_on >= selection.since)
    return conditions
