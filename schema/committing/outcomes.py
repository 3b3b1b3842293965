"""What is found out of the objects that a request names: committed, or why not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.scope import AnswerScope, visible
from schema.quarantine import senders
from schema.tables.committing.commitments import CommitmentItem
from schema.tables.ledger import Quarantined
from schema.tables.models import Image
from schema.tables.statements import among, insert_new, table_of

COMMITTED = 0
"""The outcome of an object that is committed; others are its Failure Reason, or one of ours."""

OF_ANOTHER_CLASS = 0x10000
"""Of what we asked for: the report commits to it under another SOP class than ours. Like the next
one it is more than a Failure Reason can be, which has 16 bits."""

CONTRADICTED = 0x10001
"""Of what we asked for: listed as committed by a report that says of itself that something has
failed, and does not say what."""

PAGE = 512
"""Items that are read at once."""

_AT_ONCE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """An object that a request names; the attributes are columns of `storage_commitment_items`."""

    id: int
    number: int
    sop_class_uid: str
    sop_instance_uid: str
    outcome: int | None


async def add_items(
    session: AsyncSession, commitment_id: int, references: Sequence[tuple[str, str]]
) -> None:
    """Insert the objects of a new request, by SOP class and instance."""
    for start in range(0, len(references), _AT_ONCE):
        rows = [
            {
                "commitment_id": commitment_id,
                "number": start + number,
                "sop_class_uid": sop_class,
                "sop_instance_uid": instance,
                "outcome": None,
            }
            for number, (sop_class, instance) in enumerate(references[start : start + _AT_ONCE])
        ]
        await insert_new(
            session,
            table_of(CommitmentItem),
            rows,
            key=["commitment_id", "number"],
            returning=["number"],
        )


async def items_after(
    session: AsyncSession, commitment_id: int, after: int, *, unsettled: bool = False
) -> list[ItemRow]:
    """Return the next objects of a request in their order; empty behind the last one.

    Parameters
    ----------
    after
        The number of the last one that has been seen; -1 begins.
    unsettled
        Only those of which nothing is known yet.
    """
    table = table_of(CommitmentItem)
    query = select(
        table.c.id,
        table.c.number,
        table.c.sop_class_uid,
        table.c.sop_instance_uid,
        table.c.outcome,
    ).where(table.c.commitment_id == commitment_id, table.c.number > after)
    if unsettled:
        query = query.where(table.c.outcome.is_(None))
    rows = await session.execute(query.order_by(table.c.number).limit(PAGE))
    return [ItemRow(**row) for row in rows.mappings()]


async def keep_outcomes(session: AsyncSession, outcomes: Mapping[int, int]) -> None:
    """Write down what was found out, by the ids of items; what is known already stays."""
    by_outcome: dict[int, list[int]] = {}
    for item, outcome in sorted(outcomes.items()):
        by_outcome.setdefault(outcome, []).append(item)
    for outcome, items in sorted(by_outcome.items()):
        for start in range(0, len(items), _AT_ONCE):
            await session.execute(
                update(CommitmentItem)
                .where(
                    among(session, CommitmentItem.id, items[start : start + _AT_ONCE]),
                    CommitmentItem.outcome.is_(None),
                )
                .values(outcome=outcome)
                .execution_options(synchronize_session=False)
            )


async def forget_outcomes(session: AsyncSession, commitment_ids: Sequence[int]) -> None:
    """Let nothing be known of the objects of requests: they are to be found out anew."""
    await session.execute(
        update(CommitmentItem)
        .where(among(session, CommitmentItem.commitment_id, commitment_ids))
        .values(outcome=None)
        .execution_options(synchronize_session=False)
    )


async def count_outcomes(session: AsyncSession, commitment_id: int) -> dict[int | None, int]:
    """Return how many objects of a request have which outcome."""
    query = (
        select(CommitmentItem.outcome, func.count())
        .where(CommitmentItem.commitment_id == commitment_id)
        .group_by(CommitmentItem.outcome)
    )
    return dict((await session.execute(query)).all())


async def set_apart(
    session: AsyncSession, uids: Sequence[str], *, sources: Collection[str]
) -> set[str]:
    """Return those of these SOP Instance UIDs of which an object of a sender is in quarantine.

    What the index has under such a UID is not what that sender has sent.

    Parameters
    ----------
    sources
        The AE titles under which it sends.
    """
    query = select(Quarantined.sop_instance_uid, Quarantined.source, Quarantined.also_from).where(
        among(session, Quarantined.sop_instance_uid, sorted(set(uids))),
        Quarantined.kind.in_(["conflict", "mismatch", "undecodable", "unindexable"]),
    )
    return {
        uid
        for uid, first, others in (await session.execute(query)).all()
        if uid is not None and not set(sources).isdisjoint(senders(first, others))
    }


async def in_sight(
    session: AsyncSession,
    uids: Sequence[str],
    *,
    scopes: Sequence[AnswerScope],
    sources: Collection[str],
) -> set[str]:
    """Return those of these SOP Instance UIDs of which somebody may be told that they are here.

    Parameters
    ----------
    scopes
        What it is shown; without any, nothing but its own.
    sources
        The AE titles under which it sends: what the index has from these is its own.
    """
    conditions = visible(scopes)
    if not conditions:
        return set(uids)
    query = select(Image.image_uid).where(
        among(session, Image.image_uid, sorted(set(uids))),
        or_(Image.source.in_(sorted(sources)), and_(*conditions)),
    )
    return set(await session.scalars(query))
