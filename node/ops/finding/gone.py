"""Which studies a peer has no more, after it was asked for them by their UIDs."""

from collections.abc import Container
from datetime import datetime

from node.dicom.query import StudyQuery
from schema import Database
from schema.hierarchy.gone import mark_gone


async def note_gone(
    database: Database,
    peer: str,
    query: StudyQuery,
    *,
    answered: Container[str],
    asked_on: datetime,
) -> int:
    """Note that a peer has a study no more, after it was asked for it by its UID.

    What else was asked for proves nothing.

    Parameters
    ----------
    answered
        The Study Instance UIDs of the answers.
    asked_on
        When the question began (naive UTC).

    Returns
    -------
    int
        How many studies are gone that were not before.
    """
    if not query.names_one:
        return 0
    async with database.begin() as session:
        gone = await mark_gone(
            session,
            peer=peer,
            study_uids=query.study_uids,
            answered=answered,
            asked_on=asked_on,
        )
    return len(gone)
