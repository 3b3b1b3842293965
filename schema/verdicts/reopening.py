"""Studies whose verdict does not hold any more are opened for the next move."""

from collections.abc import Collection, Mapping

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.policy import Policy
from schema.engine.either import either
from schema.finding.standing import doubt
from schema.hierarchy.sources import lock_studies
from schema.inventory import count_images
from schema.standing.whole import redraw_states
from schema.tables.columns import utcnow
from schema.tables.models import PARTIAL, PENDING, StudyFind
from schema.tables.sources import reopened_study
from schema.tables.statements import among
from schema.verdicts.broken import NO_POLICIES, broken_verdicts


@either
async def reopen_broken(
    session: AsyncSession,
    study_uids: Collection[str],
    *,
    policies: Mapping[str, Policy] = NO_POLICIES,
) -> list[str]:
    """Open studies for the next move, where it is still so that their verdict does not hold.

    What is held stays held, and what no PACS has any more is `gone`: nobody can be asked for it.

    Parameters
    ----------
    policies
        As `broken_verdicts` has them.

    Returns
    -------
    list[str]
        The Study Instance UIDs of those that were opened.
    """
    rows = {row.id: row.study_uid for row in await lock_studies(session, study_uids)}
    broken = await broken_verdicts(session, rows, policies=policies)
    if not broken:
        return []
    now = utcnow()
    for key, one in sorted(broken.items()):
        await session.execute(
            update(StudyFind)
            .where(StudyFind.id == key)
            .values(**{**reopened_study(), "last_error": str(one), "updated_on": now})
            .execution_options(synchronize_session=False)
        )
    uids = sorted(one.study_uid for one in broken.values())
    await doubt(session, uids)
    await redraw_states(session, broken)
    here = await count_images(session, uids)
    some = [key for key, one in sorted(broken.items()) if here[one.study_uid]]
    await session.execute(
        update(StudyFind)
        .where(among(session, StudyFind.id, some), StudyFind.state == PENDING)
        .values(state=PARTIAL)
        .execution_options(synchronize_session=False)
    )
    return uids
