"""The images of a selection in one order, whatever the database: by study, series and image UID.

Databases sort text by rules of their own, so that the order is ours. Only the Study Instance UIDs
of a selection are in memory, and the keys of the studies that are read at the moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.inventory import HELD_COLUMNS, PAGE, Held, Selection, conditions_of
from schema.tables.models import Image
from schema.tables.statements import among


class ImageKey(NamedTuple):
    """What an image is called, in the order of a list; what it has not is empty."""

    study_uid: str
    series_uid: str
    image_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An image of a list.

    Attributes
    ----------
    held
        What its row says of its file.
    received_on
        When it was received, naive UTC; None when it never was.
    """

    key: ImageKey
    held: Held
    received_on: datetime | None


async def studies_in_order(session: AsyncSession, selection: Selection) -> list[list[str]]:
    """Return the Study Instance UIDs of a selection, some together as they are to be read.

    Those of one list have no more images together than a page has rows, unless it is only one.
    Images without a study have an empty UID.
    """
    count = func.count()
    query = select(Image.study_uid, count).where(*conditions_of(session, selection))
    rows = await session.execute(query.group_by(Image.study_uid))
    counts: dict[str, int] = {}
    for uid, images in rows:
        counts[uid or ""] = counts.get(uid or "", 0) + images
    batches: list[list[str]] = []
    room = 0
    for uid in sorted(counts):
        if counts[uid] > room:
            batches.append([])
            room = PAGE
        batches[-1].append(uid)
        room -= counts[uid]
    return batches


async def keys_in_order(
    session: AsyncSession, study_uids: Sequence[str]
) -> list[tuple[ImageKey, int]]:
    """Return the images of some studies in their order, each with the key of its row."""
    wanted = among(session, Image.study_uid, [uid for uid in study_uids if uid])
    if "" in study_uids:
        wanted = or_(wanted, Image.study_uid.is_(None), Image.study_uid == "")
    query = select(Image.study_uid, Image.series_uid, Image.image_uid, Image.id).where(wanted)
    rows = await session.execute(query)
    return sorted(
        (ImageKey(study or "", series or "", uid), row) for study, series, uid, row in rows
    )


async def listed_page(
    session: AsyncSession, keys: Sequence[tuple[ImageKey, int]]
) -> list[ListedImage]:
    """Return images by their keys, in this order; a row that is gone by now is left out."""
    query = select(*HELD_COLUMNS).where(among(session, Image.id, [row for _, row in keys]))
    rows = {row["id"]: dict(row) for row in (await session.execute(query)).mappings()}
    page = []
    for key, number in keys:
        if (row := rows.get(number)) is not None:
            page.append(ListedImage(key=key, held=Held(**row), received_on=row["received_on"]))
    return page
