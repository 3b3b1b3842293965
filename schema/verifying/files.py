"""Which studies are verified: what was found when their files were read, and whether that holds.

A verification leaves a row for each study and each place that holds files of it, not one for each
image: a hundred million images are a million studies. The row says what it has found, and of which
rows of `images`: how many there were, the sums of their keys and revisions, and when the newest
came. Each image that comes or goes changes the first two, and one whose file is another one
(healed, set aside, found to be gone) its revision, in the same statement. So nobody has to
invalidate anything, and a verification that was under way meanwhile is out of date from the start.
The moments that machines give are not compared.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, literal_column, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.inventory import HELD_COLUMNS, PAGE, Held, Selection, conditions_of
from schema.tables.accounting.verifications import StudyVerification
from schema.tables.columns import utcnow
from schema.tables.models import Image
from schema.tables.statements import among, is_postgresql, table_of

_HOLDER = func.coalesce(Image.storage_id, Image.node, literal_column("''"))
_KEY = ("study_uid", "holder")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRows:
    """Which rows of `images` a study has in one place; the columns of `study_verifications`."""

    images: int = 0
    id_sum: int = 0
    revision_sum: int = 0
    newest_on: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesRead:
    """What was found when files of a study were read in one place.

    Attributes
    ----------
    holder
        Whose they are: see `holder_of`.
    read_on
        When the last of them was read, naive UTC.
    rows
        Their rows, as they were when they were looked up.
    all
        Whether these were all rows that the study has there; where nobody knows, False.
    sound, unsound
        How many files were as their rows say; and how many were missing, changed or unreadable.
    """

    study_uid: str
    holder: str
    read_on: datetime
    rows: IndexRows
    all: bool
    sound: int
    unsound: int

    @property
    def is_sound(self) -> bool:
        """Whether all files that the study has there were read, and are sound."""
        return self.all and self.sound == self.rows.images


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyVerified:
    """What is known of a study's files since they were read last.

    Attributes
    ----------
    read_on
        When they were; of files in several places the earliest.
    sound, unsound
        How many were as their rows say then, and how many were missing, changed or unreadable.
    holds
        Whether all files that the study has now were read, and are those that were.
    """

    read_on: datetime
    sound: int
    unsound: int
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFiles:
    """What is here of a study.

    Attributes
    ----------
    here
        How many images are in the index, with a file, or that never had one.
    lost
        How many more have a row, and no file any more.
    unsound
        How many of the files that are here now were not sound when they were read.
    verification
        None where its files were never read.
    """

    here: int = 0
    lost: int = 0
    unsound: int = 0
    verification: StudyVerified | None = None

    @property
    def verified_on(self) -> datetime | None:
        """Since when it is verified: all that is here was read, and is sound; else None."""
        one = self.verification
        if one is None or not one.holds or one.unsound or not one.sound == self.here > 0:
            return None
        return one.read_on


@dataclass(slots=True, kw_only=True)
class _Place:
    """The files of a study in one place."""

    rows: IndexRows
    here: int
    lost: int


def holder_of(held: Held) -> str:
    """Return whose an image's file is: a storage directory's id, a node's AE title, or ""."""
    return held.storage_id if held.storage_id is not None else held.node or ""


async def held_by_study(
    session: AsyncSession,
    *,
    after: Held | None = None,
    selection: Selection | None = None,
    limit: int = PAGE,
) -> list[Held]:
    """Return the next images, study by study; those without a study last, then nothing.

    Parameters
    ----------
    after
        The last one that has been seen.
    """
    conditions = conditions_of(session, selection)
    if after is None or after.study_uid is not None:
        query = select(*HELD_COLUMNS).where(Image.study_uid.is_not(None), *conditions)
        if after is not None:
            query = query.where(
                Image.study_uid >= after.study_uid,
                or_(Image.study_uid > after.study_uid, Image.id > after.id),
            )
        query = query.order_by(Image.study_uid, Image.id)
        if rows := (await session.execute(query.limit(limit))).mappings().all():
            return [Held(**row) for row in rows]
        after = None
    query = select(*HELD_COLUMNS).where(Image.study_uid.is_(None), *conditions)
    query = query.where(Image.id > (0 if after is None else after.id)).order_by(Image.id)
    return [Held(**row) for row in (await session.execute(query.limit(limit))).mappings()]


async def keep_readings(session: AsyncSession, readings: Iterable[FilesRead]) -> list[FilesRead]:
    """Write down what was found, in the place of what was found before, unless that is newer.

    A reading of some of a study's images does not make it verified, and is only written down where
    one of them is not sound: then the study is not, whatever was found before.

    Returns
    -------
    list[FilesRead]
        Those that were written down; `all` is true where some have turned out to be all.
    """
    wanted = sorted(readings, key=lambda one: (one.study_uid, one.holder))
    parts = {one.study_uid for one in wanted if not one.all}
    now = await _places(session, parts) if parts else {}
    kept = []
    for one in wanted:
        if one.all:
            kept.append(one)
        elif (place := now.get(one.study_uid, {}).get(one.holder)) is not None:
            whole = place.rows == one.rows and one.sound + one.unsound == one.rows.images
            if whole or one.unsound:
                kept.append(replace(one, rows=place.rows, all=whole))
    if not kept:
        return []
    rows = [
        {
            "study_uid": one.study_uid,
            "holder": one.holder,
            "read_on": one.read_on,
            "sound": one.sound,
            "unsound": one.unsound,
            "images": one.rows.images,
            "id_sum": one.rows.id_sum,
            "revision_sum": one.rows.revision_sum,
            "newest_on": one.rows.newest_on,
        }
        for one in kept
    ]
    table = table_of(StudyVerification)
    insert = (postgresql.insert if is_postgresql(session) else sqlite.insert)(table)
    new = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={name: new[name] for name in rows[0] if name not in _KEY},
        where=new.read_on >= table.c.read_on,
    )
    connection = await session.connection()
    await connection.execute(statement, rows)
    return kept


async def note_unsound(session: AsyncSession, images: Iterable[Held]) -> None:
    """Write down that files of images were found missing, changed or unreadable."""
    counts = Counter((one.study_uid, holder_of(one)) for one in images)
    readings = [
        FilesRead(
            study_uid=uid,
            holder=holder,
            read_on=utcnow(),
            rows=IndexRows(),
            all=False,
            sound=0,
            unsound=count,
        )
        for (uid, holder), count in counts.items()
        if uid is not None
    ]
    await keep_readings(session, readings)


@either
async def files_of(session: AsyncSession, study_uids: Collection[str]) -> dict[str, StudyFiles]:
    """Return what is here of studies, and whether it is verified, by Study Instance UID."""
    uids = set(study_uids)
    places = await _places(session, uids)
    query = select(StudyVerification).where(among(session, StudyVerification.study_uid, uids))
    former: dict[str, list[StudyVerification]] = {}
    for row in await session.scalars(query):
        former.setdefault(row.study_uid, []).append(row)
    return {uid: _files(places.get(uid, {}), former.get(uid, ())) for uid in uids}


def _files(places: dict[str, _Place], rows: Sequence[StudyVerification]) -> StudyFiles:
    here, lost = (sum(getattr(one, name) for one in places.values()) for name in ("here", "lost"))
    if not rows:
        return StudyFiles(here=here, lost=lost)
    # what was read in a place that has none of its files any more says nothing of those elsewhere
    read = [row for row in rows if row.holder in places] or rows
    held = [row for row in read if row.holder in places]
    holding = [row for row in held if places[row.holder].rows == _rows_of(row)]
    verification = StudyVerified(
        read_on=min(row.read_on for row in read),
        sound=sum(row.sound for row in read),
        unsound=sum(row.unsound for row in read),
        holds=len(holding) == len(places),
    )
    unsound = max(sum(row.unsound for row in holding) - lost, 0)
    return StudyFiles(here=here, lost=lost, unsound=unsound, verification=verification)


def _rows_of(row: Any) -> IndexRows:  # noqa: ANN401 - a row of either table
    return IndexRows(
        images=row.images,
        id_sum=int(row.id_sum),
        revision_sum=int(row.revision_sum),
        newest_on=row.newest_on,
    )


async def _places(session: AsyncSession, uids: Collection[str]) -> dict[str, dict[str, _Place]]:
    """Return what the index has of studies now, by study and holder."""
    lost = Image.filepath.is_(None) & Image.size.is_not(None)
    query = (
        select(
            Image.study_uid,
            _HOLDER.label("holder"),
            func.count().label("images"),
            func.sum(Image.id).label("id_sum"),
            func.sum(Image.revision).label("revision_sum"),
            func.max(Image.received_on).label("newest_on"),
            func.sum(case((lost, 1), else_=0)).label("lost"),
        )
        .where(among(session, Image.study_uid, sorted(uids)))
        .group_by(Image.study_uid, _HOLDER)
    )
    places: dict[str, dict[str, _Place]] = {}
    for row in await session.execute(query):
        place = _Place(rows=_rows_of(row), here=row.images - row.lost, lost=row.lost)
        places.setdefault(row.study_uid, {})[row.holder] = place
    return places
