"""Attributes out of the headers that images were kept with, taken by the database itself."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import FromClause, Text, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.tables import IMAGES
from schema.tables.statements import among, is_postgresql

_MOST_ARGUMENTS = 60
"""Attributes that are taken out of a header by the database; of more, it sends the header."""

Header = Mapping[str, Any]
"""Attributes as DICOM JSON (PS3.18 F.2), by tag: eight hexadecimal digits in capitals."""


def taken(session: AsyncSession, tags: Sequence[str], image: FromClause) -> list[Any]:
    """Return the column that `_read` reads attributes from; none where none are wanted."""
    if not tags:
        return []
    if len(tags) > _MOST_ARGUMENTS:
        return [cast(image.c.meta, Text)]
    if is_postgresql(session):
        meta = cast(image.c.meta, JSONB)
        return [cast(func.jsonb_build_array(*(meta.op("->")(tag) for tag in tags)), Text)]
    # With a single path the function returns no array, so there is always a second one.
    paths = [f'$."{tag}"' for tag in (*tags, "none")]
    return [func.json_extract(cast(image.c.meta, Text), *paths)]


def read(text: str | None, tags: Sequence[str]) -> Header:
    """Return the attributes that `taken` was to take, by their tags; absent ones may be None."""
    if not text:
        return {}
    found = orjson.loads(text)
    if len(tags) > _MOST_ARGUMENTS:
        return {tag: found[tag] for tag in tags if tag in found}
    return dict(zip(tags, found, strict=False))


async def headers(
    session: AsyncSession, image_ids: Collection[int], tags: Sequence[str]
) -> dict[int, Header]:
    """Return attributes of images' headers, by the images' keys; absent ones may be None."""
    if not image_ids or not tags:
        return {}
    query = select(IMAGES.c.id, *taken(session, tags, IMAGES))
    query = query.where(among(session, IMAGES.c.id, sorted(image_ids)))
    return {id_: read(text, tags) for id_, text in (await session.execute(query)).all()}
