"""One find of dates at a time at each peer: who asks holds the peer, in all processes.

Of two that begin at the same instant the database lets one have it. What is held is let go with its
process, however that ends (`schema.engine.claims`): a find that is paused holds its peer, one that
was killed does not. The row of its cycle only says whose it is.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from node.errors import Busy
from schema import Cycle, Database
from schema.cycles import running_find
from schema.engine.claims import Claims, claiming
from schema.tables.ledger import PAUSED

_PAUSES = (0.1, 0.2, 0.4)
"""Seconds until it is tried again where somebody holds the peer who has no row yet, or no more."""


class PeerHold:
    """A peer that is held: nobody else has a find there."""

    def __init__(self, database: Database, peer: str, claims: Claims) -> None:
        self._database = database
        self._peer = peer
        self._claims = claims

    async def lasts(self, cycle_id: int) -> bool:
        """Tell whether it is still held: a lost connection to the database may have let go of it.

        Parameters
        ----------
        cycle_id
            Of the find that holds it. Where another one runs there, that had the peer meanwhile,
            and may have lost it by now as this one did: it is the newer one that stays.

        Raises
        ------
        SchemaError
            Nobody can tell at the moment.
        """
        if not await self._claims.confirm(name_of(self._peer)):
            return False
        async with self._database.session() as session:
            holder = await running_find(session, self._peer)
        return holder is None or holder.id <= cycle_id


def name_of(peer: str) -> str:
    """Return under which name a peer is claimed."""
    return f"find {peer}"


@contextlib.asynccontextmanager
async def holding(database: Database, peer: str) -> AsyncIterator[PeerHold]:
    """Hold a peer for the length of the block.

    Raises
    ------
    Busy
        Another find holds it; the error says which.
    SchemaError
        The database is away.
    """
    name = name_of(peer)
    async with claiming(database) as claims:
        for pause in (*_PAUSES, None):
            if await claims.take(name):
                break
            async with database.session() as session:
                holder = await running_find(session, peer)
            if holder is not None or pause is None:
                raise _busy(peer, holder)
            await asyncio.sleep(pause)
        yield PeerHold(database, peer, claims)


def _busy(peer: str, holder: Cycle | None) -> Busy:
    """Return what says that another find is at a peer, which one, and what can be done."""
    if holder is None:
        return Busy(
            f"another find at {peer} is just beginning, or ending, and only one at a time asks a "
            "peer: nothing was asked; `dicom-node cycles list` shows what runs"
        )
    state, hand = "running", "wait until it has ended"
    if holder.outcome == PAUSED:
        state, hand = "paused", f"let it go on (`dicom-node cycles resume {holder.id}`)"
    return Busy(
        f"another find at {peer} is {state}, cycle {holder.id}, begun by process {holder.pid} of "
        f"{holder.node} at {holder.started_on:%Y-%m-%d %H:%M:%S} UTC, and only one at a time asks "
        f"a peer: nothing was asked; {hand}, see what it does (`dicom-node cycles show "
        f"{holder.id}`), or end it (`dicom-node cycles cancel {holder.id}`)"
    )
