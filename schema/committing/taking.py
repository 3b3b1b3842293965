"""A request for storage commitment is written down, before it is answered."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import Enum

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.committing.outcomes import add_items
from schema.tables.committing.commitments import (
    CommitmentRole,
    CommitmentState,
    StorageCommitment,
)
from schema.tables.statements import insert_new, shared_now, table_of


class TakenRequest(Enum):
    """What a request is, beside those that were taken before."""

    NEW = "new"
    AGAIN = "again"
    """The same request of the same node: it is reported once more."""
    OTHER = "other"
    """The Transaction UID was used for other objects."""


def digest_of(references: Iterable[tuple[str, str]]) -> str:
    """Return the digest of what a request names, in whichever order."""
    digest = hashlib.sha256()
    for sop_class, instance in sorted(references):
        digest.update(f"{sop_class} {instance}\n".encode())
    return digest.hexdigest()


async def take_request(
    session: AsyncSession,
    *,
    aetitle: str,
    peer: str | None,
    node: str,
    transaction_uid: str,
    references: Sequence[tuple[str, str]],
    digest: str,
) -> tuple[int, TakenRequest]:
    """Write a request down; return its row's id, and what it is.

    Parameters
    ----------
    aetitle, peer
        Who asks: its AE title, and its name in the configuration.
    node
        Our own AE title: another node finds out only when this one does not.
    references
        What it names, by SOP class and instance.
    digest
        See `digest_of`.
    """
    now = await shared_now(session)
    table = table_of(StorageCommitment)
    row = {
        "role": CommitmentRole.PROVIDER.value,
        "aetitle": aetitle,
        "transaction_uid": transaction_uid,
        "peer": peer,
        "state": CommitmentState.VERIFYING.value,
        "digest": digest,
        "objects": len(references),
        "created_on": now,
        "next_on": now,
        "attempts": 0,
        "node": node,
    }
    key = ["role", "aetitle", "transaction_uid"]
    if inserted := await insert_new(session, table, [row], key=key, returning=["id"]):
        new = int(inserted[0][0])
        await add_items(session, new, references)
        return new, TakenRequest.NEW
    former = await session.execute(
        select(table.c.id, table.c.digest).where(*(table.c[name] == row[name] for name in key))
    )
    (known, known_digest) = former.one()
    if known_digest != digest:
        return int(known), TakenRequest.OTHER
    done = StorageCommitment.done_on.is_not(None)
    reports = StorageCommitment.state == CommitmentState.REPORTING.value
    idle = StorageCommitment.pid.is_(None)
    await session.execute(
        update(StorageCommitment)
        .where(StorageCommitment.id == known, or_(done, reports & idle))
        .values(
            state=CommitmentState.REPORTING.value,
            attempts=0,
            created_on=now,
            next_on=now - timedelta(microseconds=1),
            done_on=None,
            reason=None,
            node=node,
            pid=None,
        )
        .execution_options(synchronize_session=False)
    )
    # it is being reported at this moment: that is not the end of it, see `claiming.is_done`
    await session.execute(
        update(StorageCommitment)
        .where(StorageCommitment.id == known, reports, ~idle)
        .values(created_on=now)
        .execution_options(synchronize_session=False)
    )
    return int(known), TakenRequest.AGAIN
