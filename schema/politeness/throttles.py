"""Where the throttles of moves stand, for each PACS and node; the node's own way is elsewhere."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_text
from schema.tables.politeness.throttles import PeerThrottle
from schema.tables.statements import is_postgresql, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerThrottled:
    """How much a node asks of a PACS, as it was last written down.

    Attributes
    ----------
    peer
        The configured name of the PACS.
    node
        The AE title of the node that asks it.
    level
        How many retrievals at once; below one, the part of the time in which there is one.
    reason
        Why the level went down last, and whether it grows again; empty where nothing is held back.
    usual, latest
        Seconds that the PACS takes to answer a question when it is asked for nothing else, and
        took lately; None while that is not known.
    since
        When the level changed last, naive UTC.
    updated_on
        When this was written, naive UTC.
    """

    peer: str
    node: str
    level: float
    reason: str
    usual: float | None
    latest: float | None
    since: datetime
    updated_on: datetime


@either
async def keep_throttle(session: AsyncSession, throttled: PeerThrottled) -> None:
    """Write down where the throttle of a PACS and a node stands, in the place of what was."""
    values = asdict(throttled) | {"reason": clean_text(throttled.reason)}
    own = {key: value for key, value in values.items() if key not in {"peer", "node"}}
    insert = postgresql.insert if is_postgresql(session) else sqlite.insert
    statement = insert(table_of(PeerThrottle)).values(values)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["peer", "node"], set_=own)
    )


@either
async def throttles(session: AsyncSession, *, peers: Sequence[str] = ()) -> list[PeerThrottled]:
    """Return where all throttles stand, by PACS and node.

    Parameters
    ----------
    peers
        Only those of these PACSs; of all when empty.
    """
    statement = select(PeerThrottle).order_by(PeerThrottle.peer, PeerThrottle.node)
    if peers:
        statement = statement.where(PeerThrottle.peer.in_(peers))
    return [
        PeerThrottled(
            peer=row.peer,
            node=row.node,
            level=row.level,
            reason=row.reason,
            usual=row.usual,
            latest=row.latest,
            since=row.since,
            updated_on=row.updated_on,
        )
        for row in await session.scalars(statement)
    ]
