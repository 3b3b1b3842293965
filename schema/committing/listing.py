"""Which commitments are open: how many, for who looks."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.committing.commitments import StorageCommitment


async def open_commitments(session: AsyncSession) -> Mapping[str, int]:
    """Return how many requests for storage commitment are open, by `CommitmentState`."""
    query = (
        select(StorageCommitment.state, func.count())
        .where(StorageCommitment.done_on.is_(None))
        .group_by(StorageCommitment.state)
        .order_by(StorageCommitment.state)
    )
    return dict((await session.execute(query)).all())
