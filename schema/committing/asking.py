"""What we ask others to commit to, and what they report of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.committing.outcomes import (
    COMMITTED,
    CONTRADICTED,
    OF_ANOTHER_CLASS,
    add_items,
    count_outcomes,
    items_after,
    keep_outcomes,
)
from schema.committing.taking import digest_of
from schema.header.values import clean_or_none
from schema.tables.committing.commitments import (
    CommitmentRole,
    CommitmentState,
    StorageCommitment,
)
from schema.tables.statements import shared_now


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCommitment:
    """What has become of a request of ours.

    Attributes
    ----------
    state
        `asked`, `done` or `refused`.
    outcomes
        Of each object, by its SOP Instance UID: 0 is committed, any other number a Failure Reason
        or one of `schema.committing.outcomes`, None what the report does not mention. Empty before
        there is a report.
    """

    state: str
    outcomes: Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOutcomes:
    """What a report says; of what we have not asked for, it does not matter.

    Attributes
    ----------
    committed
        Under which SOP classes, by SOP Instance UID.
    failed
        Failure Reasons, by SOP Instance UID. They count more than that it is committed as well.
    contradictory
        Whether it says that something has failed, and does not say what.
    """

    committed: Mapping[str, Collection[str]]
    failed: Mapping[str, int] = field(default_factory=dict)
    contradictory: bool = False

    def outcome_of(self, sop_class_uid: str, sop_instance_uid: str) -> int | None:
        """Return the outcome of an object that we have asked for; None where nothing is said."""
        if sop_instance_uid in self.failed:
            return self.failed[sop_instance_uid]
        if not (classes := self.committed.get(sop_instance_uid)):
            return None
        if sop_class_uid not in classes:
            return OF_ANOTHER_CLASS
        return CONTRADICTED if self.contradictory else COMMITTED


async def begin_asking(
    session: AsyncSession,
    *,
    aetitle: str,
    peer: str,
    node: str,
    transaction_uid: str,
    references: Sequence[tuple[str, str]],
) -> int:
    """Write a request of ours down, before it is made: its report may come to another process.

    Returns
    -------
    int
        Its row's id.
    """
    now = await shared_now(session)
    row = StorageCommitment(
        role=CommitmentRole.USER.value,
        aetitle=aetitle,
        transaction_uid=transaction_uid,
        peer=peer,
        state=CommitmentState.ASKED.value,
        digest=digest_of(references),
        objects=len(references),
        created_on=now,
        next_on=now,
        attempts=0,
        node=node,
    )
    session.add(row)
    await session.flush()
    await add_items(session, row.id, references)
    return row.id


async def was_refused(session: AsyncSession, commitment_id: int, reason: str) -> None:
    """Take down that the other node does not take a request, so that no report will come."""
    now = await shared_now(session)
    await session.execute(
        update(StorageCommitment)
        .where(StorageCommitment.id == commitment_id, StorageCommitment.done_on.is_(None))
        .values(state=CommitmentState.REFUSED.value, reason=clean_or_none(reason), done_on=now)
        .execution_options(synchronize_session=False)
    )


async def keep_report(
    session: AsyncSession,
    *,
    transaction_uid: str,
    peers: Collection[str],
    said: ReportedOutcomes,
) -> bool:
    """Write down what another node reports; False where we have asked none of these for that.

    A report that comes again changes nothing.

    Parameters
    ----------
    peers
        Who reports, as the configuration calls it.
    """
    found = await session.execute(
        select(StorageCommitment.id, StorageCommitment.done_on)
        .where(
            StorageCommitment.role == CommitmentRole.USER.value,
            StorageCommitment.transaction_uid == transaction_uid,
            StorageCommitment.peer.in_(sorted(peers)),
            StorageCommitment.state != CommitmentState.REFUSED.value,
        )
        .with_for_update()
    )
    row = found.first()
    if row is None:
        return False
    commitment_id, done_on = row
    if done_on is not None:
        return True
    after = -1
    while page := await items_after(session, commitment_id, after):
        found_out = {
            one.id: outcome
            for one in page
            if (outcome := said.outcome_of(one.sop_class_uid, one.sop_instance_uid)) is not None
        }
        await keep_outcomes(session, found_out)
        after = page[-1].number
    counts = await count_outcomes(session, commitment_id)
    committed = counts.get(COMMITTED, 0)
    now = await shared_now(session)
    await session.execute(
        update(StorageCommitment)
        .where(StorageCommitment.id == commitment_id)
        .values(
            state=CommitmentState.DONE.value,
            committed=committed,
            failed=sum(counts.values()) - committed - counts.get(None, 0),
            settled_on=now,
            done_on=now,
        )
        .execution_options(synchronize_session=False)
    )
    return True


async def asked(session: AsyncSession, commitment_id: int) -> AskedCommitment:
    """Return what has become of a request of ours."""
    state = await session.scalar(
        select(StorageCommitment.state).where(StorageCommitment.id == commitment_id)
    )
    outcomes: dict[str, int | None] = {}
    if state == CommitmentState.DONE.value:
        after = -1
        while page := await items_after(session, commitment_id, after):
            outcomes.update((one.sop_instance_uid, one.outcome) for one in page)
            after = page[-1].number
    return AskedCommitment(state=state or CommitmentState.REFUSED.value, outcomes=outcomes)
