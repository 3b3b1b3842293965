"""At which PACSs the policy wants nothing of studies."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.models import UNWANTED
from schema.tables.sources import StudySource
from schema.tables.statements import among


async def unwanted_at(session: AsyncSession, keys: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Return the PACSs that nothing is wanted from, by the keys of the studies, each list by name.

    As the policy has judged them; of those that it has not, nothing is known.
    """
    query = select(StudySource.study_find_id, StudySource.peer).where(
        among(session, StudySource.study_find_id, sorted(keys)), StudySource.state == UNWANTED
    )
    found: dict[int, list[str]] = {}
    for key, peer in await session.execute(query):
        found.setdefault(key, []).append(peer)
    return {key: tuple(sorted(names)) for key, names in found.items()}
