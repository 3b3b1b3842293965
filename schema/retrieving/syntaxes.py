"""How objects are encoded here: the transfer syntaxes of each SOP class, from a sample of rows.

A C-GET's contexts are chosen before anybody knows what it will ask for. To count a hundred million
rows for that would take minutes; some thousands, from all over the index, tell the same.
"""

from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.models import Image

_PLACES = 16
_AT_EACH = 150
"""So many rows, from so many places between the oldest and the newest, are looked at."""


async def sampled_syntaxes(session: AsyncSession) -> Counter[tuple[str, str]]:
    """Return how often each SOP class comes in each transfer syntax, among rows with a file."""
    found: Counter[tuple[str, str]] = Counter()
    query = select(func.coalesce(func.min(Image.id), 1), func.coalesce(func.max(Image.id), 0))
    first, last = (await session.execute(query)).one()
    step = max((last - first + 1) // _PLACES, 1)
    seen = first - 1
    for start in range(first, last + 1, step):
        rows = await session.execute(
            select(Image.id, Image.sop_class_uid, Image.transfer_syntax_uid)
            .where(Image.id > max(seen, start - 1), Image.filepath.is_not(None))
            .order_by(Image.id)
            .limit(_AT_EACH)
        )
        for key, sop_class, syntax in rows:
            seen = key
            if sop_class and syntax:
                found[sop_class, syntax] += 1
    return found
