"""What PostgreSQL knows of how much is in our tables, by which it chooses how to read them."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.columns import Base
from schema.tables.statements import is_postgresql

_CHANGED = text(
    "SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema()"
    " AND n_mod_since_analyze > 1000 + 0.1 * n_live_tup AND n_live_tup < 1000000 ORDER BY relname"
)
"""The rule of autovacuum, which comes by once a minute: soon enough for what is large already."""


async def renew_statistics(session: AsyncSession) -> list[str]:
    """Let PostgreSQL count anew what has changed much; return the names of these tables.

    A table that was empty a minute ago is taken for small: a large find would read all of it for
    each batch. A table that somebody else counts at this moment is passed
    over; SQLite has no need of it.

    Parameters
    ----------
    session
        One that writes; it is the caller who commits.
    """
    if not is_postgresql(session):
        return []
    ours = Base.metadata.tables
    names = [name for name in (await session.scalars(_CHANGED)).all() if name in ours]
    if names:
        await session.execute(text(f"ANALYZE (SKIP_LOCKED) {', '.join(names)}"))
    return names
