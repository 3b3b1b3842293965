"""What PACSs were asked about a study, and what they answered: about its date, and by its name."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.coverage.ledger import Coverage, get_coverage
from schema.explaining.inquiries import AskedAtAll, AskedByName, AskedOfDate
from schema.project.inquiries import ACCESSION_NUMBER, STUDY_UID, Asked, named_in
from schema.tables.ledger import Cycle, FindWindow


async def asked_peers(session: AsyncSession) -> set[str]:
    """Return the PACSs that any find has asked."""
    query = select(Cycle.peer).where(Cycle.kind == "find").distinct()
    return {peer for peer in await session.scalars(query) if peer}


async def asked_of_dates(
    session: AsyncSession, peers: Sequence[str], days: Collection[date | None]
) -> tuple[AskedOfDate, ...]:
    """Return what PACSs were last asked about study dates.

    Parameters
    ----------
    peers
        Their names, in the order of the answer.
    days
        None stands for the studies without a date.
    """
    found: list[AskedOfDate] = []
    for day in sorted(days, key=lambda day: day or date.min):
        scopes = await get_coverage(session, about=None if day is None else (day, day))
        for peer in peers:
            known = [_of(scope, day) for scope in scopes if scope.peer == peer]
            told = [one for one in known if one.asked_on is not None]
            if not any(not one.keys for one in told):
                why = next((one.why_open for one in known if not one.keys), "")
                told.insert(
                    0,
                    AskedOfDate(
                        peer=peer, day=day, keys={}, asked_on=None, proven_on=None, why_open=why
                    ),
                )
            found += told
    return tuple(found)


def _of(scope: Coverage, day: date | None) -> AskedOfDate:
    if day is None:
        question = scope.undated
        gap = next((one for one in scope.gaps if one.undated), None)
    else:
        known = scope.within(day, day)
        question = known.stretches[0].question if known.stretches else None
        gap = known.gaps[0] if known.gaps else None
    put = question is not None and question.was_put
    why = ""
    if gap is not None:
        why = gap.reason or gap.outcome
    return AskedOfDate(
        peer=scope.peer,
        day=day,
        keys=scope.query,
        asked_on=question.asked_on if question is not None and put else None,
        proven_on=question.covered_on if question is not None else None,
        why_open=why if question is not None and question.covered_on is None else "",
    )


async def asked_at_all(session: AsyncSession, peers: Sequence[str]) -> tuple[AskedAtAll, ...]:
    """Return which study dates PACSs were asked for so far, without further keys."""
    found = []
    scopes = {one.peer: one for one in await get_coverage(session) if not one.query}
    for peer in peers:
        bare = scopes.get(peer)
        if bare is None or not bare.stretches:
            found.append(AskedAtAll(peer=peer))
            continue
        found.append(
            AskedAtAll(
                peer=peer,
                first=bare.stretches[0].first,
                last=bare.stretches[-1].last,
                ever=True,
                gaps=len(bare.gaps),
                unasked=tuple((one.first, one.last) for one in bare.unasked),
            )
        )
    return tuple(found)


async def asked_by_name(
    session: AsyncSession, peers: Collection[str], study_uid: str, accessions: Collection[str]
) -> tuple[AskedByName, ...]:
    """Return the last question to each PACS that named a study, or its accession number.

    Parameters
    ----------
    peers
        Their names; those that are in no ledger are passed over.
    """
    found: list[AskedByName] = []
    by_uid = {study_uid} if study_uid else set()
    for key, names in ((STUDY_UID, by_uid), (ACCESSION_NUMBER, set(accessions))):
        latest: dict[str | None, Asked] = {}
        for name in names:
            async for asked in _questions(session, peers, key, name):
                before = latest.get(asked.peer)
                if before is None or before.on < asked.on:
                    latest[asked.peer] = asked
        found += [AskedByName(by=key, asked=latest[peer]) for peer in sorted(latest, key=str)]
    return tuple(found)


async def asked_by_accession(
    session: AsyncSession, peers: Collection[str], number: str
) -> tuple[AskedByName, ...]:
    """Return the last question to each PACS that named an accession number which no study has."""
    names = {*peers, *await asked_peers(session)}
    found = await asked_by_name(session, names, "", [number])
    return tuple(one for one in found if one.by == ACCESSION_NUMBER)


async def _questions(
    session: AsyncSession, peers: Collection[str], key: str, name: str
) -> AsyncIterator[Asked]:
    window = FindWindow
    query = (
        select(window, Cycle.started_on)
        .outerjoin(Cycle, Cycle.id == window.cycle_id)
        .where(
            window.peer.in_(sorted(peers)),
            window.start_date.is_(None),
            window.end_date.is_(None),
            window.query[key].as_string().contains(name, autoescape=True),
        )
        .order_by(window.id.desc())
    )
    for row, began in (await session.execute(query)).all():
        named = list(named_in(row.query))
        if (key, name) in named:
            yield Asked(
                peer=row.peer,
                on=row.asked_on,
                outcome=row.outcome,
                matches=row.matches or 0,
                message=row.message,
                since=began,
                together=len(named),
            )
