"""How many studies each PACS has answered, and where they stand: from one index, without a join.

Of a million studies `status` has a part of a second for this. A study that has one source is
counted from that alone; the others, and those without any, are looked at apart.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from schema.engine.either import either
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTally:
    """How many studies a PACS has answered, and how many of them are complete here.

    Attributes
    ----------
    peer
        Its configured name; None for the studies of which no PACS is known.
    found
        Studies that it has.
    complete
        Those of them of which all that it has is verified to be here, or that are closed without.
    gone
        Studies that it had, and has no more.
    to_compare
        Those of the open ones of which all is here that another PACS has: only its own list of
        images tells whether anything is missing.
    given_up
        Those of the open ones that the daemon does not ask for any more.
    images, unknown
        How many images the PACS says, or was counted, to have of the open ones, those that are here
        already among them; and of how many of these nobody knows it.
    states
        The studies that it has, by their state there.
    """

    peer: str | None
    found: int
    complete: int
    gone: int = 0
    to_compare: int = 0
    given_up: int = 0
    images: int = 0
    unknown: int = 0
    states: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """Of how many not all that it has is verified to be here."""
        return self.found - self.complete


_TOLD = func.coalesce(
    func.nullif(StudySource.expected_images, 0), func.nullif(StudySource.counted_images, 0)
)
"""How many images a PACS has of a study; NULL when nobody knows."""

_THERE = StudySource.gone_on.is_(None)
_OPEN = and_(_THERE, StudySource.verified_on.is_(None))


async def one_view(session: AsyncSession) -> None:
    """Have all that follows in a new session see the database as it is now.

    SQLite does so of itself: its transaction begins with the first statement.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(
            text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        )


@either
async def tally_peers(
    session: AsyncSession,
    study_uids: Collection[str] | None = None,
    *,
    known: int | None = None,
) -> list[PeerTally]:
    """Count the found studies of each PACS that has answered them, by its name.

    A study that several have counts for each of them.

    Parameters
    ----------
    study_uids
        Only these; None means all.
    known
        How many studies there are, where that was counted in the same view of the database.
    """
    if study_uids is not None:
        return _sorted(await _of_some(session, study_uids))
    tallies = await _of_sources(session)
    if known is None:
        known = int(await session.scalar(select(func.count()).select_from(StudyFind)) or 0)
    with_source = await _with_source(session, tallies)
    if known != with_source:
        for one in await _without_sources(session):
            before = tallies.get(one.peer)
            tallies[one.peer] = one if before is None else _sum(before, one)
    if sum(one.found + one.gone for one in tallies.values()) != known:
        for peer, closed, given_up, images, unknown, to_compare in await _of_several(session):
            before = tallies[peer]
            tallies[peer] = replace(
                before,
                complete=before.complete + closed,
                to_compare=to_compare,
                given_up=before.given_up - given_up,
                images=before.images - images,
                unknown=before.unknown - unknown,
            )
    return _sorted(tallies.values())


def _sorted(tallies: Iterable[PeerTally]) -> list[PeerTally]:
    # databases sort names by rules of their own
    return sorted(tallies, key=lambda tally: (tally.peer is None, tally.peer or ""))


def _sum(one: PeerTally, other: PeerTally) -> PeerTally:
    states = dict(one.states)
    for state, count in other.states.items():
        states[state] = states.get(state, 0) + count
    names = ("found", "complete", "gone", "to_compare", "given_up", "images", "unknown")
    return replace(
        one, states=states, **{name: getattr(one, name) + getattr(other, name) for name in names}
    )


def _counts() -> tuple[Any, ...]:
    """Return what is counted of sources, in the order of the attributes of `PeerTally`."""
    return (
        func.count().filter(_THERE),
        func.count().filter(_THERE, StudySource.verified_on.is_not(None)),
        func.count(StudySource.gone_on),
        func.count(StudySource.given_up_on).filter(_OPEN),
        func.coalesce(func.sum(_TOLD).filter(_OPEN), 0),
        func.count().filter(_OPEN, _TOLD.is_(None)),
    )


async def _of_sources(session: AsyncSession) -> dict[str | None, PeerTally]:
    """Count all sources as if each study had only one."""
    query = select(StudySource.peer, StudySource.state, *_counts())
    tallies: dict[str | None, PeerTally] = {}
    rows = await session.execute(query.group_by(StudySource.peer, StudySource.state))
    for peer, state, found, complete, gone, given_up, images, unknown in rows:
        one = PeerTally(
            peer=peer,
            found=found,
            complete=complete,
            gone=gone,
            given_up=given_up,
            images=int(images or 0),
            unknown=unknown,
            states={state: found} if found else {},
        )
        tallies[peer] = _sum(tallies[peer], one) if peer in tallies else one
    return tallies


async def _with_source(session: AsyncSession, tallies: Mapping[str | None, PeerTally]) -> int:
    """Return how many studies have a source."""
    if len(tallies) < 2:  # a PACS has one source of a study
        return sum(one.found + one.gone for one in tallies.values())
    distinct = select(StudySource.study_find_id).distinct().subquery()
    return int(await session.scalar(select(func.count()).select_from(distinct)) or 0)


async def _without_sources(session: AsyncSession) -> list[PeerTally]:
    """Count the studies that somebody has recorded, and no PACS has answered."""
    sources = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id)
    query = (
        select(
            StudyFind.peer,
            func.count(),
            func.count(StudyFind.retrieved_on),
            func.coalesce(
                func.sum(StudyFind.expected_images).filter(StudyFind.retrieved_on.is_(None)), 0
            ),
            func.count().filter(
                StudyFind.retrieved_on.is_(None), func.coalesce(StudyFind.expected_images, 0) == 0
            ),
        )
        .where(~sources.exists())
        .group_by(StudyFind.peer)
    )
    return [
        PeerTally(
            peer=peer, found=found, complete=complete, images=int(images or 0), unknown=unknown
        )
        for peer, found, complete, images, unknown in await session.execute(query)
    ]


async def _of_several(session: AsyncSession) -> list[tuple[str, int, int, int, int, int]]:
    """Count what the studies that several PACSs have, or had, add to the count of each alone.

    By PACS: open sources of studies that are closed all the same, those of them that are given up,
    their images, and those of which nobody knows how many; and open ones of which all is here that
    another PACS has.
    """
    several = (
        select(StudySource.study_find_id.label("study"))
        .group_by(StudySource.study_find_id)
        .having(func.count() > 1)
        .subquery()
    )
    closed = StudyFind.retrieved_on.is_not(None)
    query = (
        select(
            StudySource.peer,
            func.count().filter(closed),
            func.count(StudySource.given_up_on).filter(closed),
            func.coalesce(func.sum(_TOLD).filter(closed), 0),
            func.count().filter(closed, _TOLD.is_(None)),
            func.count().filter(~closed, _compared()),
        )
        .select_from(several)
        .join(StudySource, StudySource.study_find_id == several.c.study)
        .join(StudyFind, StudyFind.id == several.c.study)
        .where(_OPEN)
        .group_by(StudySource.peer)
    )
    return [(peer, *map(int, counts)) for peer, *counts in await session.execute(query)]


def _compared() -> ColumnElement[bool]:
    """Return the condition that all is here that another PACS has of a study."""
    other = aliased(StudySource)
    return (
        select(other.id)
        .where(
            other.study_find_id == StudyFind.id,
            other.verified_on.is_not(None),
            other.gone_on.is_(None),
        )
        .exists()
    )


async def _of_some(session: AsyncSession, study_uids: Collection[str]) -> list[PeerTally]:
    peer = func.coalesce(StudySource.peer, StudyFind.peer).label("peer")
    complete = or_(StudyFind.retrieved_on.is_not(None), StudySource.verified_on.is_not(None))
    query = (
        select(
            peer,
            func.count().filter(_THERE),
            func.count().filter(_THERE, complete),
            func.count().filter(~_THERE),
            func.count().filter(_THERE, ~complete, _compared()),
        )
        .select_from(StudyFind)
        .outerjoin(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .group_by(peer)
    )
    return [
        PeerTally(peer=name, found=found, complete=complete, gone=gone, to_compare=to_compare)
        for name, found, complete, gone, to_compare in await session.execute(query)
    ]
