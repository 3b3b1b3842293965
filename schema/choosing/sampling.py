"""Studies that are here from PACSs, some of them at random: which, and who has them."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_text, key_of
from schema.tables.models import RETRIEVED, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of
from schema.tables.views import project_members

_FEW = 10_000
"""Studies of which all keys are read; of more, keys are drawn, and looked up."""

_DRAWN = 500
"""Keys that are drawn at once, at least."""

_RARE = 100
"""Of so many keys, one at least is to be of a study that counts; else all are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledStudy:
    """A study that is verified to be here, and a PACS that has it.

    Attributes
    ----------
    policy
        The policy under which it is complete; None where all that the PACS has is here.
    """

    study_uid: str
    peer: str
    policy: str | None


async def sample_studies(
    session: AsyncSession,
    count: int,
    *,
    peers: Collection[str],
    seed: int,
    project_id: int | None = None,
) -> tuple[int, list[SampledStudy]]:
    """Choose studies at random, each with the same probability, and for each a PACS that has it.

    Memory does not grow with the index, but where few of many studies count.

    Parameters
    ----------
    count
        How many; all of them where there are fewer.
    peers
        Those that are verified to be here from one of these PACSs, by configured name.
    seed
        The same one chooses the same ones, as long as no others are here.
    project_id
        Of this project's studies.

    Returns
    -------
    int, list[SampledStudy]
        Among how many it was chosen, and what, in the order of their keys.
    """
    source = table_of(StudySource)
    conditions = [
        among(session, StudySource.peer, sorted(key_of(clean_text(peer)) for peer in peers)),
        StudySource.state == RETRIEVED,
    ]
    if project_id is not None:
        of_project = select(StudyFind.id).where(
            StudyFind.study_uid.in_(
                select(project_members.c.study_uid).where(
                    project_members.c.project_id == project_id
                )
            )
        )
        conditions.append(StudySource.study_find_id.in_(of_project))
    keys = source.c.study_find_id
    query = select(func.count(keys.distinct()), func.min(keys), func.max(keys)).where(*conditions)
    there, first, last = (await session.execute(query)).one()
    chance = random.Random(seed)
    if there <= max(_FEW, 2 * count) or (last - first + 1) > _RARE * there:
        every = select(keys).where(*conditions).distinct().order_by(keys)
        all_keys = list(await session.scalars(every))
        chosen = chance.sample(all_keys, min(count, there))
    else:
        chosen = await _drawn(session, count, conditions, (first, last), chance)
    return there, await _sampled(session, chosen, conditions, chance)


async def _drawn(
    session: AsyncSession,
    count: int,
    conditions: Sequence[ColumnElement[bool]],
    between: tuple[int, int],
    chance: random.Random,
) -> list[int]:
    """Draw keys until so many of them are those of studies that count: none is likelier."""
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        drawn = [chance.randint(*between) for _ in range(max(_DRAWN, count))]
        query = (
            select(StudySource.study_find_id)
            .where(among(session, StudySource.study_find_id, sorted(set(drawn))), *conditions)
            .distinct()
        )
        counting = set(await session.scalars(query))
        chosen.update(dict.fromkeys(key for key in drawn if key in counting))
    return list(chosen)[:count]


async def _sampled(
    session: AsyncSession,
    keys: Collection[int],
    conditions: Sequence[ColumnElement[bool]],
    chance: random.Random,
) -> list[SampledStudy]:
    source = table_of(StudySource)
    query = (
        select(source.c.study_find_id, StudyFind.study_uid, source.c.peer, source.c.policy)
        .join(StudyFind, StudyFind.id == source.c.study_find_id)
        .where(among(session, StudySource.study_find_id, sorted(keys)), *conditions)
    )
    having: dict[int, list[SampledStudy]] = {}
    for key, study_uid, peer, policy in await session.execute(query):
        one = SampledStudy(study_uid=study_uid, peer=peer, policy=policy)
        having.setdefault(key, []).append(one)
    return [chance.choice(sorted(having[key], key=lambda one: one.peer)) for key in sorted(having)]
