"""What was found out about each PACS: kept, in force, contradicted.

One row for each probe. The newest of a peer is in force; once the PACS was seen to do otherwise,
none is, until it is probed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import false, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_text
from schema.tables.columns import utcnow
from schema.tables.ledger import PeerProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProbe:
    """A probe, as it was kept.

    Attributes
    ----------
    peer
        The configured name of the PACS.
    probed_on
        When it came to its end, naive UTC.
    questions
        How many queries it took.
    facts
        What was found out, by name, as whoever probed has written it.
    stale_on, stale_reason
        When and how the PACS was seen to do otherwise; None while nothing contradicts.
    """

    peer: str
    probed_on: datetime
    questions: int
    facts: Mapping[str, Any]
    stale_on: datetime | None = None
    stale_reason: str | None = None


@either
async def keep_probe(
    session: AsyncSession, *, peer: str, facts: Mapping[str, Any], questions: int
) -> int:
    """Record what a probe has found out; it is in force from now on. Return the row's id.

    Parameters
    ----------
    peer
        The configured name of the PACS.
    facts
        By name; what JSON has.
    questions
        How many queries it took.
    """
    row = PeerProbe(peer=peer, facts=dict(facts), questions=questions, probed_on=utcnow())
    session.add(row)
    await session.flush()
    return row.id


async def check_recordable(session: AsyncSession) -> None:
    """See whether a probe could be kept; nothing is changed.

    Raises
    ------
    DatabaseReadOnly
        Nobody may write here.
    """
    nothing = update(PeerProbe).where(false()).values(questions=0)
    await session.execute(nothing.execution_options(synchronize_session=False))


@either
async def newest_probes(session: AsyncSession, peers: Sequence[str] = ()) -> dict[str, KeptProbe]:
    """Return the newest probe of each peer that was ever probed, by the peer's name.

    Parameters
    ----------
    peers
        Only of these; of all when empty.
    """
    newest = select(func.max(PeerProbe.id)).group_by(PeerProbe.peer)
    if peers:
        newest = newest.where(PeerProbe.peer.in_(peers))
    rows = await session.scalars(
        select(PeerProbe).where(PeerProbe.id.in_(newest)).order_by(PeerProbe.peer)
    )
    return {
        row.peer: KeptProbe(
            peer=row.peer,
            probed_on=row.probed_on,
            questions=row.questions,
            facts=row.facts,
            stale_on=row.stale_on,
            stale_reason=row.stale_reason,
        )
        for row in rows
    }


@either
async def mark_stale(session: AsyncSession, peer: str, reason: str) -> bool:
    """Note that a PACS was seen to do otherwise than its probe says: nothing of it holds any more.

    Parameters
    ----------
    peer
        The configured name of the PACS.
    reason
        What it did, for people.

    Returns
    -------
    bool
        Whether a probe was in force until now. What has been contradicted before stays as it was.
    """
    marked = await session.scalars(
        update(PeerProbe)
        .where(PeerProbe.peer == peer, PeerProbe.stale_on.is_(None))
        .values(stale_on=utcnow(), stale_reason=clean_text(reason))
        .returning(PeerProbe.id)
        .execution_options(synchronize_session=False)
    )
    return bool(marked.all())
