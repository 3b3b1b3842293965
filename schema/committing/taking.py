"""A request for storage commitment is written down, before it is answered."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.committing.outcomes import add_items, forget_outcomes
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
    """The same request of the same node: it is found out anew, unless it is being found out."""
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
    # who is at it may come to its end at this moment
    former = await session.execute(
        select(table.c.id, table.c.digest, table.c.state, table.c.pid, table.c.done_on)
        .where(*(table.c[name] == row[name] for name in key))
        .with_for_update()
    )
    known, known_digest, state, pid, done_on = former.one()
    if known_digest != digest:
        return int(known), TakenRequest.OTHER
    if done_on is not None or (state == CommitmentState.REPORTING.value and pid is None):
        await forget_outcomes(session, [known])
        fields = ("state", "peer", "created_on", "attempts", "node")
        values = {
            **{name: row[name] for name in fields},
            **dict.fromkeys(("committed", "failed", "settled_on", "done_on", "reason", "pid")),
            "next_on": now - timedelta(microseconds=1),
        }
        await _change(session, known, values)
    elif state == CommitmentState.REPORTING.value:
        # it is being reported at this moment: `claiming` has it found out anew after that
        await _change(session, known, {"created_on": now, "settled_on": None})
    return int(known), TakenRequest.AGAIN


async def _change(session: AsyncSession, key: int, values: Mapping[str, Any]) -> None:
    await session.execute(
        update(StorageCommitment)
        .where(StorageCommitment.id == key)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
