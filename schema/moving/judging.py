"""Attempts are judged: each is held against what is so at the moment when that is recorded.

A move takes a while. Meanwhile a find may have learnt that the study has grown, files of it may
have gone, images may have come from others, and another node may have been quicker. So nothing that
was read at the beginning decides: in one transaction, in which nobody else can write the study, all
is read once more, `schema.moving.evidence` decides, and the verdict is written with its evidence.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.policy import ALL, Policy
from schema.header.values import clean_or_none
from schema.hierarchy.links import link_received
from schema.hierarchy.sources import lock_studies
from schema.hooking.verdicts import GivenUp, tell_verdicts
from schema.moving.arrivals import tell_others
from schema.moving.attempts import EndedAttempt, end_attempts
from schema.moving.evidence import KnownOfSource, StudyVerdict, judge
from schema.moving.history import Unsent, agreeing, agreeing_attempts, sent_by, unsent_images
from schema.moving.holding import held_images
from schema.moving.listings import get_listings, keep_listings
from schema.moving.patience import FailureKind, Next, RetryLimits, next_attempt
from schema.moving.senders import Senders, peer_key
from schema.standing.states import StudyEvent, StudyState, after
from schema.standing.whole import Drawn, draw_studies
from schema.tables.columns import utcnow
from schema.tables.ledger import MoveAttempt
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What an attempt came to.

    Attributes
    ----------
    state
        Of the study at the PACS, now.
    images
        How many of the study are here.
    arrived
        How many of them were not, before.
    again
        Whether some came that were.
    next
        When it is due again; None where all is here.
    overtaken
        Whether another node has seen to the study meanwhile: then nothing was recorded of it.
    """

    state: StudyState
    verdict: StudyVerdict
    images: int
    arrived: int = 0
    again: bool = False
    next: Next | None = None
    overtaken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a PACS says of a study, and where that stands."""

    id: int | None
    state: StudyState
    known: KnownOfSource
    said: int | None = None
    attempts: int = 0
    vain: int = 0
    verified: bool = False


async def judge_attempts(
    session: AsyncSession,
    ended: Sequence[EndedAttempt],
    *,
    peer: str,
    senders: Senders,
    limits: RetryLimits,
    policy: Policy = ALL,
    now: datetime | None = None,
) -> dict[str, Judged]:
    """Judge attempts of distinct studies at a PACS, and record what they came to.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    senders
        Who sends for which PACS.
    limits
        When a study that is not whole is due again.
    policy
        What is wanted.
    now
        Naive UTC; None is the clock's.

    Returns
    -------
    dict[str, Judged]
        By Study Instance UID; those that are not in the database any more are left out.
    """
    now = now or utcnow()
    uids = [one.study_uid for one in ended]
    rows = {row.study_uid: row for row in await lock_studies(session, uids)}
    open_ones = await _open_attempts(session, [one.attempt_id for one in ended])
    sources = await _sources(session, rows, peer=peer)
    listings = await get_listings(session, uids, peer=peer)
    listings |= await keep_listings(
        session,
        {
            one.study_uid: (one.listing, one.listed_on or now)
            for one in ended
            if one.listing is not None and one.attempt_id in open_ones
        },
        peer=peer,
    )
    held = await held_images(session, uids, peer=peer, senders=senders)
    keys = [row.id for row in rows.values()]
    history = await agreeing_attempts(session, keys, peer=peer)
    unsent = await unsent_images(session, keys, peer=peer)
    judged: dict[str, Judged] = {}
    records: list[tuple[EndedAttempt, StudyVerdict, Mapping[str, Any]]] = []
    values: list[dict[str, Any]] = []
    for one in sorted(ended, key=lambda one: one.study_uid):
        if (row := rows.get(one.study_uid)) is None:
            continue
        source, here = sources[one.study_uid], held[one.study_uid]
        is_here, past = here.frozen(), history.get(row.id, ())
        listing = listings.get(one.study_uid)
        named = unsent.get(row.id, Unsent()).after(one.answered)
        known = replace(
            source.known,
            listing=None if listing is None else listing.held_against(source.said),
            agreeing=agreeing(one, is_here, past, since=source.id and source.attempts),
            unsent=named.uids,
            tried=named.tried,
            sent=sent_by(one.answered),
        )
        verdict = judge(known, is_here, peer=peer, policy=policy)
        if one.attempt_id not in open_ones:  # somebody has taken us for dead
            judged[one.study_uid] = Judged(
                state=source.state, verdict=verdict, images=len(here.images), overtaken=True
            )
            continue
        result = _result(one, verdict, source, images=len(here.images), limits=limits, now=now)
        result = replace(result, again=one.attempt_id in here.again)
        judged[one.study_uid] = result
        sizes = here.of_attempt.get(one.attempt_id, [])
        more = {
            "outcome": result.state.value if not verdict.complete else StudyState.RETRIEVED.value,
            "arrived": result.arrived,
            "arrived_bytes": sum(sizes),
            "images": result.images,
        }
        records.append((one, verdict, more))
        values.append({"row": source.id, **_columns(one, result, source, now)})
    await end_attempts(session, records)
    await _write_sources(session, values)
    studies = {rows[one.study_uid].id: judged[one.study_uid] for one, _, _ in records}
    news = [key for key, one in studies.items() if one.arrived and one.verdict.complete]
    await tell_others(session, news, peer=peer)
    charged = {rows[one.study_uid].id for one, _, _ in records if not one.kind.is_of_the_peer}
    errors = {rows[one.study_uid].id: _message(one, verdict) for one, verdict, _ in records}
    complete = await draw_studies(
        session,
        [
            Drawn(
                study=key,
                attempts=int(key in charged),
                error=errors[key],
                expected=None if one.verdict.policy else one.verdict.expected,
                here=one.images,
                complete=one.verdict.complete,
                evidence=None if one.verdict.basis is None else one.verdict.basis.value,
                state=one.state,
                due=None if one.next is None else one.next.on,
            )
            for key, one in studies.items()
        ],
        on=now,
    )
    await link_received(session, [uid for uid, one in judged.items() if one.verdict.complete])
    await tell_verdicts(
        session,
        peer=peer,
        complete=[
            row.study_uid
            for row in rows.values()
            if row.id in complete and row.retrieved_on is None
        ],
        given_up=[
            _given_up(one, judged[one.study_uid], peer)
            for one, _, _ in records
            if (following := judged[one.study_uid].next) is not None and following.given_up
        ],
        troubles=[one.impersonal for one, _, _ in records if one.kind is FailureKind.CONFIGURATION],
    )
    return judged


async def _open_attempts(session: AsyncSession, ids: Collection[int]) -> set[int]:
    """Return which attempts nobody has ended meanwhile."""
    query = select(MoveAttempt.id).where(
        among(session, MoveAttempt.id, sorted(ids)), MoveAttempt.ended_on.is_(None)
    )
    return set(await session.scalars(query))


async def _sources(
    session: AsyncSession, rows: Mapping[str, Any], *, peer: str
) -> dict[str, _Source]:
    """Return where studies stand at a PACS; of one that it has not answered, what is said of it."""
    query = select(
        StudySource.study_find_id,
        StudySource.id,
        StudySource.state,
        StudySource.expected_images,
        StudySource.counted_images,
        StudySource.counted_short,
        StudySource.attempts,
        StudySource.vain_attempts,
        StudySource.verified_on,
    ).where(
        among(session, StudySource.study_find_id, [row.id for row in rows.values()]),
        StudySource.peer == peer_key(peer),
    )
    known = {row.study_find_id: row for row in await session.execute(query)}
    sources: dict[str, _Source] = {}
    for uid, study in rows.items():
        if (row := known.get(study.id)) is None:
            told = KnownOfSource(told=study.expected_images)
            sources[uid] = _Source(id=None, state=StudyState.MOVING, known=told)
            continue
        counted = None if row.counted_short else row.counted_images
        sources[uid] = _Source(
            id=row.id,
            state=StudyState(row.state),
            known=KnownOfSource(
                told=row.expected_images or counted,
                least=row.counted_images or 0,
                short=row.counted_short or "",
            ),
            said=row.expected_images,
            attempts=row.attempts,
            vain=row.vain_attempts,
            verified=row.verified_on is not None,
        )
    return sources


def _result(
    one: EndedAttempt,
    verdict: StudyVerdict,
    source: _Source,
    *,
    images: int,
    limits: RetryLimits,
    now: datetime,
) -> Judged:
    arrived = max(images - one.before, 0)
    if verdict.complete:
        event = StudyEvent.WHOLE
    elif verdict.unwanted:
        event = StudyEvent.UNWANTED
    elif images:
        event = StudyEvent.SOME
    elif one.kind.is_of_the_peer:
        event = StudyEvent.LET_GO
    else:
        event = StudyEvent.NOTHING if one.kind is FailureKind.NONE else StudyEvent.FAILURE
    attempts = source.attempts + (not one.kind.is_of_the_peer)
    following = next_attempt(
        limits,
        kind=one.kind,
        arrived=arrived,
        attempts=attempts,
        vain=source.vain,
        now=now,
        chance=random.random(),
    )
    return Judged(
        state=after(source.state, event),
        verdict=verdict,
        images=images,
        arrived=arrived,
        next=None if verdict.complete or verdict.unwanted else following,
    )


def _message(one: EndedAttempt, verdict: StudyVerdict) -> str | None:
    return None if verdict.complete else _in_words(verdict, one.message)


def _in_words(verdict: StudyVerdict, message: str) -> str | None:
    return clean_or_none("; ".join(filter(None, (verdict.reason, message))))


def _given_up(one: EndedAttempt, result: Judged, peer: str) -> GivenUp:
    return GivenUp(
        study_uid=one.study_uid,
        peer=peer,
        state=result.state.value,
        images=result.images,
        expected=result.verdict.expected,
        status=one.answered.status,
        message=_in_words(result.verdict, one.impersonal),
    )


def _columns(one: EndedAttempt, result: Judged, source: _Source, now: datetime) -> dict[str, Any]:
    verdict, following = result.verdict, result.next
    charged = not one.kind.is_of_the_peer
    begun_anew = bool(result.arrived) and not verdict.complete
    return {
        "state": result.state.value,
        "attempts": 0 if begun_anew else source.attempts + charged,
        "vain_attempts": 0 if following is None else following.vain,
        "next_attempt_on": None if following is None else following.on,
        "given_up_on": now if following is not None and following.given_up else None,
        "last_status": one.answered.status,
        "last_comment": clean_or_none(one.answered.comment),
        "last_error": _message(one, verdict),
        "verified_on": now if verdict.complete else None,
        "evidence": None if verdict.basis is None else verdict.basis.value,
        "evidence_images": verdict.expected if verdict.complete else None,
        "policy": verdict.policy,
    }


async def _write_sources(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    known = [row for row in rows if row["row"] is not None]
    if not known:
        return
    table = table_of(StudySource)
    names = [name for name in known[0] if name != "row"]
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    connection = await session.connection()
    await connection.execute(
        update(table).where(table.c.id == bindparam("row")).values(values),
        [{"row": row["row"], **{f"new_{name}": row[name] for name in names}} for row in known],
    )
