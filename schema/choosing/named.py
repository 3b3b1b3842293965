"""Which found studies operators mean: by UID, by accession number, or all that a PACS has."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_text, key_of
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStudies:
    """What names stand for.

    Attributes
    ----------
    study_uids
        Of the studies that were found: those that are named by UID in their order, then the others.
    unknown
        UIDs and accession numbers that no find has recorded, in their order.
    """

    study_uids: tuple[str, ...]
    unknown: tuple[str, ...] = ()


async def studies_named(
    session: AsyncSession,
    *,
    study_uids: Sequence[str] = (),
    accession_numbers: Sequence[str] = (),
) -> NamedStudies:
    """Return the found studies of UIDs and of accession numbers, as any PACS says these."""
    known = set(
        await session.scalars(
            select(StudyFind.study_uid).where(
                among(session, StudyFind.study_uid, list(dict.fromkeys(study_uids)))
            )
        )
    )
    by_number: dict[str, dict[str, None]] = {}
    numbers = list(dict.fromkeys(accession_numbers))
    for query in (
        select(StudyFind.accession_number, StudyFind.study_uid).where(
            among(session, StudyFind.accession_number, numbers)
        ),
        select(StudySource.accession_number, StudyFind.study_uid)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(among(session, StudySource.accession_number, numbers)),
    ):
        for number, uid in (await session.execute(query)).all() if numbers else ():
            by_number.setdefault(str(number), {})[uid] = None
    uids = [uid for uid in dict.fromkeys(study_uids) if uid in known]
    for number in numbers:
        uids += sorted(by_number.get(number, ()))
    unknown = [uid for uid in dict.fromkeys(study_uids) if uid not in known]
    unknown += [number for number in numbers if number not in by_number]
    return NamedStudies(study_uids=tuple(dict.fromkeys(uids)), unknown=tuple(unknown))


async def studies_at(
    session: AsyncSession,
    *,
    peer: str,
    states: Collection[str],
    held: bool = False,
    after: int = 0,
    limit: int = 1000,
) -> list[tuple[int, str]]:
    """Return a page of the studies that stand so at a PACS: the keys of their sources, and UIDs.

    Parameters
    ----------
    held
        Whether those that an operator holds there are among them, in whichever state.
    after
        Only sources with a larger key.
    """
    so = StudySource.state.in_(sorted(states))
    query = (
        select(StudySource.id, StudyFind.study_uid)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(
            StudySource.peer == key_of(clean_text(peer)),
            so | StudySource.held_on.is_not(None) if held else so,
            StudySource.id > after,
        )
        .order_by(StudySource.id)
        .limit(limit)
    )
    return [(key, uid) for key, uid in await session.execute(query)]
