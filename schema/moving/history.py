"""What the attempts before have come to, as far as the next verdict or request depends on it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.attempts import INTERRUPTED, WHOLE_STUDY, AttemptAnswer, EndedAttempt
from schema.moving.evidence import STABLE, Here
from schema.moving.patience import FailureKind
from schema.moving.senders import peer_key
from schema.tables.ledger import MoveAttempt
from schema.tables.sources import StudyChange
from schema.tables.statements import among

_NUMBERS = ("expected_series", "expected_images")
"""What of a PACS's answer says how much a study has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """An attempt that came to a verdict, as far as later ones are held against it.

    Attributes
    ----------
    whole
        Whether it was asked for the whole study, and nothing failed.
    sent
        How many images the PACS says that it has sent; None when it has counted nothing.
    images, brought
        How many were here afterwards; and whether some of them came by it.
    overtaken
        Whether the PACS has said since that it has something else.
    """

    whole: bool
    sent: int | None
    images: int | None
    brought: bool = False
    overtaken: bool = False

    def says_all(self, here: Here) -> bool:
        """Tell whether all that is here from the PACS was sent again, by its word, or may be."""
        covers = self.sent is None or self.sent >= len(here.sent)
        return self.whole and covers and self.images == len(here.images)


def agreeing(
    one: EndedAttempt, here: Here, history: Sequence[PastAttempt], *, since: int | None
) -> int:
    """Return how many attempts in a row, this one last, came to the same.

    Each was asked for the whole study, and answered without a failure, by a PACS that says of
    nothing that is here from it that it was not sent again: none at all is not all of it. None was
    before the study was opened again, or before the PACS has said something else of it.

    Parameters
    ----------
    since
        How many attempts before this one there were since the study was opened, or since some of it
        came (`study_sources.attempts`); None when nobody knows.
    """
    answered = one.answered
    now = PastAttempt(
        whole=_whole(one.kind.value, answered.level, answered.failed),
        sent=_counted(answered.completed, answered.warning),
        images=len(here.images),
    )
    count = 0
    for number, attempt in enumerate((now, *history)):
        # what has brought some is not counted there, and is the first of those that follow it
        before = since is not None and number > since + attempt.brought
        if before or attempt.overtaken or not attempt.says_all(here):
            break
        count += 1
    return count


def _whole(failure: str | None, level: str | None, failed: int | None) -> bool:
    return failure == FailureKind.NONE.value and level == WHOLE_STUDY and not failed


def _counted(completed: int | None, warning: int | None) -> int | None:
    return None if completed is None and warning is None else (completed or 0) + (warning or 0)


async def agreeing_attempts(
    session: AsyncSession, study_ids: Collection[int], *, peer: str
) -> dict[int, list[PastAttempt]]:
    """Return the last attempts at a PACS that came to a verdict, by study, the latest first."""
    query = (
        select(
            MoveAttempt.study_find_id,
            MoveAttempt.failure,
            MoveAttempt.failed,
            MoveAttempt.level,
            MoveAttempt.completed,
            MoveAttempt.warning,
            MoveAttempt.images,
            MoveAttempt.arrived,
            MoveAttempt.claimed_on,
        )
        .where(
            among(session, MoveAttempt.study_find_id, sorted(study_ids)),
            MoveAttempt.peer == peer_key(peer),
            MoveAttempt.outcome.is_not(None),
            MoveAttempt.outcome != INTERRUPTED,
        )
        .order_by(MoveAttempt.id.desc())
    )
    rows: dict[int, list[Any]] = {}
    for row in await session.execute(query):
        several = rows.setdefault(row.study_find_id, [])
        if len(several) < STABLE:
            several.append(row)
    said = await _said_otherwise(session, rows, peer=peer)
    return {
        study: [
            PastAttempt(
                whole=_whole(row.failure, row.level, row.failed),
                sent=_counted(row.completed, row.warning),
                images=row.images,
                brought=bool(row.arrived),
                overtaken=study in said and row.claimed_on <= said[study],
            )
            for row in several
        ]
        for study, several in rows.items()
    }


async def _said_otherwise(
    session: AsyncSession, study_ids: Collection[int], *, peer: str
) -> dict[int, datetime]:
    """Return since when a PACS says what it says of how much studies have, where it said else."""
    if not study_ids:
        return {}
    query = (
        select(StudyChange.study_find_id, func.max(StudyChange.seen_on))
        .where(
            among(session, StudyChange.study_find_id, sorted(study_ids)),
            StudyChange.peer == peer_key(peer),
            StudyChange.field.in_(_NUMBERS),
        )
        .group_by(StudyChange.study_find_id)
    )
    return dict((await session.execute(query)).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """What a PACS could not send of a study, since it was last asked for the whole of it.

    Attributes
    ----------
    uids
        The SOP Instance UIDs that it has named.
    tried
        How many images it says that it has tried to send, of the whole study.
    """

    uids: frozenset[str] = frozenset()
    tried: int = 0

    def after(self, answered: AttemptAnswer) -> "Unsent":
        """Return it after one more attempt."""
        if answered.level == WHOLE_STUDY:
            tried = sent_by(answered) + (answered.failed or 0)
            return Unsent(uids=frozenset(answered.failed_uids), tried=tried)
        return Unsent(uids=self.uids.union(answered.failed_uids), tried=self.tried)


async def unsent_images(
    session: AsyncSession, study_ids: Collection[int], *, peer: str
) -> dict[int, Unsent]:
    """Return what a PACS could not send, by study, where it has named anything."""
    query = (
        select(
            MoveAttempt.study_find_id,
            MoveAttempt.level,
            MoveAttempt.failed_uids,
            MoveAttempt.completed,
            MoveAttempt.warning,
            MoveAttempt.failed,
        )
        .where(
            among(session, MoveAttempt.study_find_id, sorted(study_ids)),
            MoveAttempt.peer == peer_key(peer),
            MoveAttempt.ended_on.is_not(None),
            MoveAttempt.level.is_not(None),
        )
        .order_by(MoveAttempt.id)
    )
    found: dict[int, Unsent] = {}
    for study, level, uids, completed, warning, failed in await session.execute(query):
        answered = AttemptAnswer(
            level=level,
            failed_uids=tuple(uids or ()),
            completed=completed,
            warning=warning,
            failed=failed,
        )
        found[study] = found.get(study, Unsent()).after(answered)
    return {study: unsent for study, unsent in found.items() if unsent.uids}


def sent_by(answered: AttemptAnswer) -> int:
    """Return how many images a PACS says that it has sent, of a whole study that was asked for."""
    if answered.level != WHOLE_STUDY:
        return 0
    return (answered.completed or 0) + (answered.warning or 0)


async def repairs_in_vain(
    session: AsyncSession, study_ids: Collection[int], *, peer: str
) -> set[int]:
    """Return the keys of studies of which the last attempt at a PACS was a repair in vain.

    It asked for single series or images, and none came: some PACSs answer only for whole studies.
    """
    last = (
        select(func.max(MoveAttempt.id))
        .where(
            among(session, MoveAttempt.study_find_id, sorted(study_ids)),
            MoveAttempt.peer == peer_key(peer),
            MoveAttempt.outcome.is_not(None),
            MoveAttempt.outcome != INTERRUPTED,
        )
        .group_by(MoveAttempt.study_find_id)
    )
    query = select(MoveAttempt.study_find_id).where(
        MoveAttempt.id.in_(last), MoveAttempt.level != WHOLE_STUDY, MoveAttempt.arrived == 0
    )
    return set(await session.scalars(query))
