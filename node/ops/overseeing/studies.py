"""The operator's hand on studies: held, released, asked for again, and ended at once.

What is wanted is written into the database; who moves a study looks there. So it does not matter
which process of which machine does that, and whether it still lives.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from node.ops.overseeing.steering import CycleEnded, cancel
from schema import AsyncSession
from schema.choosing.named import studies_at
from schema.deciding.ending import OpenAttempt, open_attempts, want_ended
from schema.deciding.holds import Decided, hold_studies, release_studies, retry_studies
from schema.engine.database import Database
from schema.moving.attempts import interrupt_attempts
from schema.reports import recent_cycles
from schema.standing.states import StudyState
from schema.tables.ledger import UNFINISHED

_TO_END = 6.0
"""Seconds that a move has to end an attempt, which takes one or two; then nobody is there."""

_LOOK = 0.1

_AT_ONCE = 500
"""Studies that are written together: nobody has to wait for long."""

_OPEN = (
    StudyState.PENDING,
    StudyState.MOVING,
    StudyState.SETTLING,
    StudyState.PARTIAL,
    StudyState.EMPTY,
    StudyState.FAILED,
    StudyState.HELD,
)

Decide = Callable[..., Awaitable[Decided]]
"""Decides of studies, by their UIDs, in a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedMoves:
    """What became of attempts that were to end.

    Attributes
    ----------
    studies
        Of which an attempt has ended; in the order in which these began.
    silent
        Those of them whose process did not answer: the attempt was ended for it.
    cycles
        The moves that were ended, by their ids.
    held
        How many studies are held since, and were not before.
    peers
        Which were asked for them.
    """

    studies: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    cycles: tuple[int, ...] = ()
    held: int = 0
    peers: tuple[str, ...] = ()


async def hold(
    database: Database,
    study_uids: Sequence[str] | None,
    *,
    peer: str | None = None,
    reason: str | None = None,
) -> Decided:
    """Do not ask for studies any more, until they are released or moved by name.

    What is prepared to be asked for and was not yet, is left; what is on its way goes on.

    Parameters
    ----------
    study_uids
        None: all that are open at the peer.
    peer
        Only there; None means at any.
    reason
        Why, in words.
    """

    async def decide(session: AsyncSession, uids: Sequence[str]) -> Decided:
        decided = await hold_studies(session, uids, peer=peer, reason=reason)
        attempts = await open_attempts(session, study_uids=uids, peer=peer)
        await want_ended(session, attempts, at_once=False)
        return decided

    return await _decided(database, study_uids, peer, decide)


async def release(
    database: Database, study_uids: Sequence[str] | None, *, peer: str | None = None
) -> Decided:
    """Let studies that are held be asked for again; parameters as those of `hold`."""

    async def decide(session: AsyncSession, uids: Sequence[str]) -> Decided:
        return await release_studies(session, uids, peer=peer)

    return await _decided(database, study_uids, peer, decide, held=True)


async def retry(
    database: Database, study_uids: Sequence[str] | None, *, peer: str | None = None
) -> Decided:
    """Let studies be asked for at once that wait, have failed, were given up or are unwanted."""

    async def decide(session: AsyncSession, uids: Sequence[str]) -> Decided:
        return await retry_studies(session, uids, peer=peer)

    states = (*_OPEN, StudyState.UNWANTED)
    return await _decided(database, study_uids, peer, decide, states=states)


async def end_studies(
    database: Database,
    study_uids: Sequence[str],
    *,
    peer: str | None = None,
    held: bool = False,
    reason: str | None = None,
) -> EndedMoves:
    """End the attempts of studies that are under way, and return when they have ended.

    Parameters
    ----------
    peer
        Only at this one; None means at any.
    held
        Whether to hold the studies as well, also those that nobody moves; `reason` says why.
    """
    kept = Decided()
    if held:
        kept = await hold(database, study_uids, peer=peer, reason=reason)
    async with database.begin() as session:
        attempts = await open_attempts(session, study_uids=study_uids, peer=peer)
        await want_ended(session, attempts, at_once=True)
    silent = await _ended(database, attempts)
    return EndedMoves(
        studies=_studies(attempts),
        silent=_studies(silent),
        held=kept.changed,
        peers=_peers(attempts),
    )


async def end_moves(
    database: Database, peer: str, *, held: bool = False, reason: str | None = None
) -> EndedMoves:
    """End the moves from a peer that run, whichever process runs them.

    Parameters
    ----------
    held
        Whether to hold the studies that they ask for, and those that are next; `reason` says why.
    """
    async with database.session() as session:
        latest = await recent_cycles(session, peer=peer)
        cycles = [one for one in latest if one.kind == "move" and one.outcome in UNFINISHED]
        ids = [one.id for one in cycles]
        attempts = await open_attempts(session, cycle_ids=ids) if ids else []
    kept = Decided()
    if held:
        kept = await hold(database, _studies(attempts), peer=peer, reason=reason)
    came = await asyncio.gather(*(cancel(database, one) for one in cycles), return_exceptions=True)
    for one in came:
        if isinstance(one, BaseException) and not isinstance(one, CycleEnded):
            raise one
    silent = await _ended(database, attempts)
    return EndedMoves(
        studies=_studies(attempts),
        silent=_studies(silent),
        cycles=tuple(sorted(ids)),
        held=kept.changed,
        peers=(peer,) if ids else (),
    )


async def _ended(database: Database, attempts: Sequence[OpenAttempt]) -> list[OpenAttempt]:
    """Wait until attempts have ended; end those of nobody, and return them."""
    if not attempts:
        return []
    loop = asyncio.get_running_loop()
    latest = loop.time() + _TO_END
    keys = {one.id for one in attempts}
    uids = _studies(attempts)
    while True:
        async with database.session() as session:
            there = await open_attempts(session, study_uids=uids)
        left = [one for one in there if one.id in keys]
        if not left:
            return []
        if loop.time() > latest or all(one.cycle_id is None for one in left):
            await database.run(interrupt_attempts, attempt_ids=[one.id for one in left])
            return left
        await asyncio.sleep(_LOOK)


def _studies(attempts: Sequence[OpenAttempt]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.study_uid for one in attempts))


def _peers(attempts: Sequence[OpenAttempt]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.peer for one in attempts))


async def _decided(
    database: Database,
    study_uids: Sequence[str] | None,
    peer: str | None,
    decide: Decide,
    *,
    states: Sequence[StudyState] = _OPEN,
    held: bool = False,
) -> Decided:
    """Decide of studies, some of them at a time.

    Parameters
    ----------
    states, held
        Which are meant at the peer, where none are named; see `studies_at`.
    """
    decided = Decided()
    async for page in _pages(database, study_uids, peer, states, held=held):
        decided += await database.run(decide, page)
    return decided


async def _pages(
    database: Database,
    study_uids: Sequence[str] | None,
    peer: str | None,
    states: Sequence[StudyState],
    *,
    held: bool,
) -> AsyncIterator[Sequence[str]]:
    if study_uids is not None:
        for start in range(0, len(study_uids), _AT_ONCE):
            yield study_uids[start : start + _AT_ONCE]
        return
    after = 0
    while peer is not None:
        async with database.session() as session:
            page = await studies_at(
                session, peer=peer, states=states, held=held, after=after, limit=_AT_ONCE
            )
        if not page:
            return
        after = page[-1][0]
        yield [uid for _, uid in page]
