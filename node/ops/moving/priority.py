"""Which studies are moved before others: the highest priority first."""

from collections.abc import Sequence

from schema import Database
from schema.moves import set_priority


async def prioritise(database: Database, study_uids: Sequence[str], priority: int) -> int:
    """Give found studies a priority; return how many there are.

    Those that no find has recorded yet are left out: there is no row to remember it in.
    """
    async with database.begin() as session:
        return await set_priority(session, study_uids, priority)
