"""The links between what was found and what was received: `studies.study_find_id`.

Whichever of the two comes second makes the link.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.faults import parents_may_go
from schema.tables.models import Study, StudyFind
from schema.tables.statements import among, table_of


async def link_studies(session: AsyncSession, links: Mapping[int, int]) -> None:
    """Set `study_find_id` of studies that have none.

    Parameters
    ----------
    links
        The id of what was found, by the study's id.
    """
    if not links:
        return
    study = table_of(Study)
    statement = (
        update(study)
        .where(study.c.id == bindparam("row"), study.c.study_find_id.is_(None))
        .values(study_find_id=bindparam("found"))
    )
    connection = await session.connection()
    with parents_may_go():
        # In the order of the keys, so that two who link the same studies never wait crosswise;
        # that of the UIDs is another one in each collation.
        await connection.execute(
            statement, [{"row": row, "found": found} for row, found in sorted(links.items())]
        )


async def link_received(session: AsyncSession, uids: Iterable[str]) -> None:
    """Link the studies that were received before they were found."""
    query = (
        select(Study.id, StudyFind.id)
        .join(StudyFind, StudyFind.study_uid == Study.study_uid)
        .where(Study.study_find_id.is_(None), among(session, Study.study_uid, sorted(uids)))
    )
    await link_studies(session, dict((await session.execute(query)).all()))
