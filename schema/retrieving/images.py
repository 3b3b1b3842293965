"""Which images a retrieval sends: those that its unique keys name, and its caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.scope import AnswerScope, visible
from schema.header.values import clean_text
from schema.inventory import HELD_COLUMNS, Held
from schema.tables.models import Image, Patient, Study
from schema.tables.statements import KeyColumn, among

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalKeys:
    """The unique keys of a retrieval (PS3.4 C.4.2.2.1); one without values asks nothing.

    Attributes
    ----------
    patient_ids
        Of the images' own headers, or of the patients to whom their studies belong.
    """

    patient_ids: Sequence[str] = ()
    study_uids: Sequence[str] = ()
    series_uids: Sequence[str] = ()
    image_uids: Sequence[str] = ()


async def wanted_images(
    session: AsyncSession,
    wanted: RetrievalKeys,
    *,
    scopes: Sequence[Sequence[AnswerScope]] = (),
    most: int,
) -> list[Held] | None:
    """Return the images that are wanted, study by study and series by series, as they came.

    Parameters
    ----------
    scopes
        An image has to be visible by each of these: of who asks, and of who is sent to.
    most
        How many there may be.

    Returns
    -------
    list[Held] or None
        Those whose file is gone, or that never had one, are among them. None when there are more
        than `most`.
    """
    conditions = [
        *_keys(session, wanted),
        *(condition for one in scopes for condition in visible(one)),
    ]
    # without an ORDER BY, which would have PostgreSQL walk through the table by its key
    query = select(Image.id, Image.study_uid, Image.series_uid).where(*conditions).limit(most + 1)
    keys = (await session.execute(query)).all()
    if len(keys) > most:
        return None
    ordered = [row for *_, row in sorted((one[1] or "", one[2] or "", one[0]) for one in keys)]
    images: list[Held] = []
    for start in range(0, len(ordered), _PAGE):
        page = ordered[start : start + _PAGE]
        rows = await session.execute(select(*HELD_COLUMNS).where(among(session, Image.id, page)))
        held = {row["id"]: Held(**row) for row in rows.mappings()}
        images += [held[key] for key in page if key in held]
    return images


def _keys(session: AsyncSession, wanted: RetrievalKeys) -> list[ColumnElement[bool]]:
    columns: tuple[tuple[KeyColumn, Sequence[str]], ...] = (
        (Image.study_uid, wanted.study_uids),
        (Image.series_uid, wanted.series_uids),
        (Image.image_uid, wanted.image_uids),
    )
    conditions = [
        among(session, column, [clean_text(one) for one in values])
        for column, values in columns
        if values
    ]
    if wanted.patient_ids:
        ids = [clean_text(one) for one in wanted.patient_ids]
        studies = (
            select(Study.study_uid)
            .join(Patient, Patient.id == Study.patient_id)
            .where(among(session, Patient.patient_id, ids))
        )
        own = among(session, Image.patient_id, ids)
        conditions.append(or_(own, Image.study_uid.in_(studies)))
    return conditions
