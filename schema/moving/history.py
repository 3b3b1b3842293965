"""What the attempts before have come to, as far as the next verdict or request depends on it."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.attempts import INTERRUPTED, WHOLE_STUDY, AttemptAnswer, EndedAttempt
from schema.moving.evidence import STABLE
from schema.moving.patience import FailureKind
from schema.moving.senders import peer_key
from schema.tables.ledger import MoveAttempt
from schema.tables.statements import among


def agreeing(
    one: EndedAttempt, images: int, history: Sequence[tuple[int | None, int | None]]
) -> int:
    """Return how many attempts in a row, this one last, came to the same.

    Each was asked for the whole study, and answered without a failure.
    """
    answered = one.answered
    if one.kind is not FailureKind.NONE or answered.failed or answered.level != WHOLE_STUDY:
        return 0
    count = 1
    for failed, before in history:
        if failed is not None or before != images:
            break
        count += 1
    return count


async def agreeing_attempts(
    session: AsyncSession, study_ids: Collection[int], *, peer: str
) -> dict[int, list[tuple[int | None, int | None]]]:
    """Return the last attempts at a PACS that came to a verdict, by study, the latest first.

    Returns
    -------
    dict[int, list[tuple[int | None, int | None]]]
        Of each whether it was asked for less than the whole study, or something failed (None:
        neither), and how many images were here then.
    """
    query = (
        select(
            MoveAttempt.study_find_id,
            MoveAttempt.failure,
            MoveAttempt.failed,
            MoveAttempt.level,
            MoveAttempt.images,
        )
        .where(
            among(session, MoveAttempt.study_find_id, sorted(study_ids)),
            MoveAttempt.peer == peer_key(peer),
            MoveAttempt.outcome.is_not(None),
            MoveAttempt.outcome != INTERRUPTED,
        )
        .order_by(MoveAttempt.id.desc())
    )
    found: dict[int, list[tuple[int | None, int | None]]] = {}
    for study, failure, failed, level, images in await session.execute(query):
        several = found.setdefault(study, [])
        if len(several) < STABLE:
            asked = failure == FailureKind.NONE.value and level == WHOLE_STUDY
            several.append((failed or None if asked else -1, images))
    return found


async def unsent_images(
    session: AsyncSession, study_ids: Collection[int], *, peer: str
) -> dict[int, frozenset[str]]:
    """Return the SOP Instance UIDs that a PACS could not send, by study, where there are any.

    Those of the last attempt that asked for the whole study, and of all since.
    """
    query = (
        select(MoveAttempt.study_find_id, MoveAttempt.level, MoveAttempt.failed_uids)
        .where(
            among(session, MoveAttempt.study_find_id, sorted(study_ids)),
            MoveAttempt.peer == peer_key(peer),
            MoveAttempt.ended_on.is_not(None),
            MoveAttempt.level.is_not(None),
        )
        .order_by(MoveAttempt.id.desc())
    )
    found: dict[int, frozenset[str]] = {}
    known: set[int] = set()
    for study, level, failed in await session.execute(query):
        if study not in known:
            found[study] = found.get(study, frozenset()).union(failed or ())
            if level == WHOLE_STUDY:
                known.add(study)
    return {study: uids for study, uids in found.items() if uids}


def unsent_after(answered: AttemptAnswer, before: frozenset[str]) -> frozenset[str]:
    """Return the SOP Instance UIDs that a PACS could not send, after one more attempt."""
    return (
        before.union(answered.failed_uids)
        if answered.level != WHOLE_STUDY
        else (frozenset(answered.failed_uids))
    )


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
