"""Which studies a peer has no more: said only where its complete answer proves it."""

from bisect import bisect_left
from collections.abc import Container, Sequence
from datetime import date, datetime

from node.dicom.query import StudyQuery, Window
from schema import Database
from schema.hierarchy.gone import mark_gone, mark_gone_in_window


def holds_any(window: Window, dates: Sequence[date]) -> bool:
    """Tell whether one of some dates, the earliest first, is in a window."""
    place = 0 if window.start is None else bisect_left(dates, window.start)
    return place < len(dates) and (window.end is None or dates[place] <= window.end)


async def note_gone(
    database: Database,
    peer: str,
    query: StudyQuery,
    *,
    answered: Container[str],
    asked_on: datetime,
    seen_since: datetime | None = None,
) -> int:
    """Note which studies a peer has no more, after it has answered a question to its end.

    What else was asked for than dates, or one study by its UID, proves nothing.

    Parameters
    ----------
    answered
        The Study Instance UIDs of the answers, those that are recorded as seen need not be there.
    asked_on
        When the question began (naive UTC).
    seen_since
        What was seen since then is not gone either (naive UTC).

    Returns
    -------
    int
        How many studies are gone that were not before.
    """
    if query.keys() and not query.names_one:
        return 0
    async with database.begin() as session:
        if query.names_one:
            gone = await mark_gone(
                session,
                peer=peer,
                study_uids=query.study_uids,
                answered=answered,
                asked_on=asked_on,
            )
        else:
            gone = await mark_gone_in_window(
                session,
                peer=peer,
                start_date=query.window.start,
                end_date=query.window.end,
                answered=answered,
                asked_on=asked_on,
                seen_since=seen_since,
            )
    return len(gone)
