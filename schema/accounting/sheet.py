"""The sheet of a migration: where each found study stands, page by page, in bounded memory.

What is missing of a study is said as well as it is known: by identity where its PACSs list it, by
number where they only count it, and not at all where nobody knows how many images it has.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.accounting.missing import lost_of, missing_of
from schema.choosing.policy import Policy
from schema.deciding.refused import refused_studies
from schema.explaining.story import SourceStory
from schema.finding.drawing import SourceAnswer
from schema.hierarchy.sources import sources_of
from schema.project.members import Member, get_members
from schema.standing.states import StudyState
from schema.tables.ledger import INTERRUPTED, MoveAttempt
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among
from schema.verdicts.broken import NO_POLICIES, BrokenVerdict, broken_verdicts
from schema.verifying.files import StudyFiles, files_of

PAGE = 500
"""Studies that are read at once."""

_STANDING = (
    *(
        "peer",
        "state",
        "found_on",
        "last_seen_on",
        "gone_on",
        "verified_on",
        "evidence",
        "held_on",
        "held_reason",
        "policy",
    ),
    *("evidence_images", "counted_short", "attempts", "vain_attempts", "next_attempt_on"),
    *("given_up_on", "last_error"),
)


_STUDY = (
    *("id", "study_uid", "study_date", "modalities", "accession_number", "patient_id"),
    *("patient_name", "state", "peer", "found_on", "last_seen_on", "expected_images"),
    *("retrieved_on", "evidence", "attempts", "next_attempt_on", "last_error"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAttempt:
    """What became of the last attempt to bring a study here; the columns of `move_attempts`.

    Attributes
    ----------
    failed
        Images that the PACS could not send, as it counts them or names them.
    refused, interrupted
        Presentation contexts that were not accepted; and whether it has come to no verdict.
    """

    peer: str
    claimed_on: datetime
    status: int | None
    failed: int
    refused: tuple[str, ...]
    interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetStudy:
    """A line of the sheet; moments are naive UTC.

    Attributes
    ----------
    study_uid
        None for an accession number of a project that no known study has.
    state
        As in `studies_find`; `not found` and `received` for a study that no PACS has answered.
    expected_images
        How many its PACSs have; None when nobody knows.
    here
        How many images are in the index, with a file.
    lost
        How many more have a row, and no file any more.
    unlisted
        SOP Instance UIDs of those of them that no PACS that has the study lists.
    verified_on
        When all images that are here had been read, and were sound; None where they were not, or
        where one has come, gone or got another file since.
    unsound
        How many of the files that are here were not sound when all of them were read last.
    missing_images
        How many are missing at least; None when nobody knows.
    missing
        SOP Instance UIDs of those that a PACS lists, or that have lost their file, in their order.
    sources, standings
        What each of its PACSs says, and where the study stands there, by name.
    broken
        What of it is not here any more, where the verdict that it is complete does not hold.
    member
        Of a study of a project: what PACSs have answered to questions for it.
    refused
        Why the policy of now wants nothing of it, in words, by the PACSs that it would not be asked
        of.
    """

    study_uid: str | None
    study_date: datetime | None = None
    modalities: str | None = None
    accession_number: str | None = None
    patient_id: str | None = None
    patient_name: str | None = None
    state: str
    peer: str | None = None
    found_on: datetime | None = None
    last_seen_on: datetime | None = None
    expected_images: int | None = None
    here: int = 0
    lost: int = 0
    unlisted: tuple[str, ...] = ()
    verified_on: datetime | None = None
    unsound: int = 0
    missing_images: int | None = None
    missing: tuple[str, ...] = ()
    retrieved_on: datetime | None = None
    evidence: str | None = None
    attempts: int = 0
    next_attempt_on: datetime | None = None
    last_error: str | None = None
    last: LastAttempt | None = None
    sources: tuple[SourceAnswer, ...] = ()
    standings: tuple[SourceStory, ...] = field(default=(), repr=False)
    broken: BrokenVerdict | None = None
    member: Member | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def unwanted(self) -> bool:
        """Whether the policy wants nothing of it: it is neither whole, nor is anything missing."""
        if self.retrieved_on is not None:
            return False
        left = [one for one in self.standings if one.gone_on is None and one.verified_on is None]
        refused = bool(left) and all(one.peer in self.refused for one in left)
        return refused or self.state == StudyState.UNWANTED

    @property
    def unwanted_at(self) -> frozenset[str]:
        """The PACSs that nothing of it is wanted from, or would be."""
        judged = (one.peer for one in self.standings if one.state == StudyState.UNWANTED)
        return frozenset((*judged, *self.refused))

    @property
    def whole(self) -> bool:
        """Whether all of it came, and no image of it is known to be lost or damaged since."""
        return (
            self.retrieved_on is not None
            and self.broken is None
            and not self.lost
            and not self.unsound
        )


async def sheet_pages(
    session: AsyncSession,
    *,
    peer: str | None = None,
    project_id: int | None = None,
    study_uids: Sequence[str] = (),
    policies: Mapping[str, Policy] = NO_POLICIES,
) -> AsyncIterator[list[SheetStudy]]:
    """Yield the lines of a sheet in pages: in the order in which the studies were found.

    Parameters
    ----------
    peer
        Only the studies that this PACS has, or had.
    project_id, study_uids
        Only those of this project, whose studies these are; in their order. Those that no PACS has
        answered are among them, and at the end its accession numbers that no study has.
    policies
        What is wanted from each PACS, by its name.
    """
    if project_id is not None:
        for start in range(0, len(study_uids), PAGE):
            part = study_uids[start : start + PAGE]
            yield await _of_project(session, project_id, part, peer, policies)
        if peer is None:
            rest = await get_members(session, project_id, study_uids=())
            yield [_unfound(member) for member in rest]
        return
    last = 0
    while True:
        query = _studies().where(StudyFind.id > last, *_at(peer))
        rows = (await session.execute(query.order_by(StudyFind.id).limit(PAGE))).all()
        if not rows:
            return
        last = rows[-1].id
        yield await _lines(session, rows, policies)


def _studies() -> Any:  # noqa: ANN401 - a SELECT of many columns
    return select(*(getattr(StudyFind, name) for name in _STUDY))


def _at(peer: str | None) -> tuple[Any, ...]:
    if peer is None:
        return ()
    has = (StudySource.study_find_id == StudyFind.id) & (StudySource.peer == peer)
    return (or_(StudyFind.peer == peer, select(StudySource.id).where(has).exists()),)


async def _of_project(
    session: AsyncSession,
    project_id: int,
    uids: Sequence[str],
    peer: str | None,
    policies: Mapping[str, Policy],
) -> list[SheetStudy]:
    wanted = among(session, StudyFind.study_uid, sorted(uids))
    rows = (await session.execute(_studies().where(wanted, *_at(peer)))).all()
    lines = {line.study_uid: line for line in await _lines(session, rows, policies)}
    if peer is None:
        absent = [uid for uid in uids if uid not in lines]
        members = await get_members(session, project_id, study_uids=absent) if absent else ()
        files = await files_of(session, absent)
        lines |= {
            one.study_uid: _unfound(one, files[one.study_uid])
            for one in members
            if one.study_uid in absent
        }
    return [lines[uid] for uid in uids if uid in lines]


def _unfound(member: Member, files: StudyFiles | None = None) -> SheetStudy:
    return SheetStudy(
        study_uid=member.study_uid,
        study_date=member.study_date,
        accession_number=member.accession_number,
        patient_id=member.patient_id,
        state=member.state,
        here=member.received_images,
        verified_on=files.verified_on if files else None,
        unsound=files.unsound if files else 0,
        member=member,
    )


async def _lines(
    session: AsyncSession, rows: Sequence[Any], policies: Mapping[str, Policy]
) -> list[SheetStudy]:
    keys = [row.id for row in rows]
    files = await files_of(session, [row.study_uid for row in rows])
    here = {uid: one.here for uid, one in files.items()}
    sources = await sources_of(session, keys)
    standings = await _standings(session, keys)
    last = await _last_attempts(session, [row.id for row in rows if row.attempts])
    left = [row for row in rows if row.retrieved_on is None]
    missing = await missing_of(session, left, here, policies)
    broken = await broken_verdicts(session, keys, policies=policies)
    missing |= {key: (one.lacking, one.missing) for key, one in broken.items()}
    refused = await refused_studies(session, [row.study_uid for row in left], policies)
    lost = await lost_of(
        session, {row.id: row.study_uid for row in rows if files[row.study_uid].lost}
    )
    lines = []
    for row in rows:
        have = files[row.study_uid]
        count, uids = missing.get(row.id, (0, ()))
        gone, unlisted = lost.get(row.id, ((), ()))
        uids = tuple(sorted({*uids, *gone}))
        line = SheetStudy(
            **{name: getattr(row, name) for name in _STUDY[1:]},
            here=have.here,
            lost=have.lost,
            unlisted=unlisted,
            verified_on=have.verified_on,
            unsound=have.unsound,
            missing_images=None if count is None else max(count, len(uids)),
            missing=uids,
            broken=broken.get(row.id),
            last=last.get(row.id),
            sources=tuple(one.answer for one in sources.get(row.id, ())),
            standings=tuple(standings.get(row.id, ())),
            refused=refused.get(row.study_uid, {}),
        )
        lines.append(replace(line, missing_images=None, missing=()) if line.unwanted else line)
    return lines


async def _standings(session: AsyncSession, keys: Collection[int]) -> dict[int, list[SourceStory]]:
    query = select(
        StudySource.study_find_id,
        StudySource.expected_images,
        StudySource.expected_series,
        StudySource.counted_images,
        *(getattr(StudySource, name) for name in _STANDING),
    ).where(among(session, StudySource.study_find_id, sorted(keys)))
    found: dict[int, list[SourceStory]] = {}
    for study, images, series, counted, *values in await session.execute(query):
        story = SourceStory(
            **dict(zip(_STANDING, values, strict=True)),
            found_by=None,
            images=counted if images is None else images,
            series=series,
            counted_on=None,
            listed=None,
            changes=(),
        )
        found.setdefault(study, []).append(story)
    return {key: sorted(several, key=lambda one: one.peer) for key, several in found.items()}


async def _last_attempts(session: AsyncSession, keys: Collection[int]) -> dict[int, LastAttempt]:
    newest = (
        select(func.max(MoveAttempt.id))
        .where(among(session, MoveAttempt.study_find_id, sorted(keys)))
        .group_by(MoveAttempt.study_find_id)
    )
    query = select(
        MoveAttempt.study_find_id,
        MoveAttempt.peer,
        MoveAttempt.claimed_on,
        MoveAttempt.status,
        MoveAttempt.failed,
        MoveAttempt.failed_uids,
        MoveAttempt.refused,
        MoveAttempt.outcome,
    ).where(MoveAttempt.id.in_(newest))
    return {
        row.study_find_id: LastAttempt(
            peer=row.peer,
            claimed_on=row.claimed_on,
            status=row.status,
            failed=max(row.failed or 0, len(row.failed_uids or ())),
            refused=tuple(row.refused or ()),
            interrupted=row.outcome == INTERRUPTED,
        )
        for row in await session.execute(query)
    }
