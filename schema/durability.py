"""Whether a database keeps what it has committed, as far as it can be asked."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schema.faults import translated

_NEEDED = {
    "fsync": "the whole database may be lost with the machine's power",
    "full_page_writes": "pages may be torn when the machine's power goes",
    "synchronous_commit": "the last commits may be lost with the machine's power",
}
"""Settings of PostgreSQL that must not be off, and what happens when they are."""


async def weaknesses(engine: AsyncEngine) -> list[str]:
    """Return what keeps a commit from being durable, a sentence each; none for SQLite.

    SQLite's settings are made by each connection of ours, so there is nothing to ask.

    Raises
    ------
    DatabaseUnavailable
        When the database cannot be reached.
    """
    if engine.url.get_backend_name() != "postgresql":
        return []
    found = []
    with translated():
        async with engine.connect() as connection:
            for name, consequence in _NEEDED.items():
                value = await connection.scalar(
                    text("SELECT current_setting(:name)"), {"name": name}
                )
                if value == "off":
                    found.append(f"PostgreSQL runs with {name} = off: {consequence}")
    return found
