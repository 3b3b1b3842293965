"""Which studies a PACS was asked for by their own keys, and what came of it.

"No PACS has it" and "nobody has asked" are two answers; the windows of all finds tell which.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.ledger import Cycle, FindWindow

STUDY_UID = "StudyInstanceUID"
ACCESSION_NUMBER = "AccessionNumber"

Key = tuple[str, str]
"""A DICOM keyword, STUDY_UID or ACCESSION_NUMBER, and its value."""

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """When a PACS was asked for one study by its key, and what came of it.

    Attributes
    ----------
    since
        When the find began that asked: what it brought was seen later.
    together
        How many studies the question named.
    matches
        How many of them the PACS has.
    """

    peer: str | None
    on: datetime
    outcome: str
    matches: int
    message: str | None
    since: datetime | None = None
    together: int = 1

    @property
    def answered(self) -> bool:
        """Whether the PACS has answered to the end; for some of a list that proves nothing."""
        of_some = self.matches and self.matches < self.together
        return self.outcome == "complete" and not of_some


async def last_asked(
    session: AsyncSession, wanted: Collection[Key]
) -> dict[Key, dict[str | None, Asked]]:
    """Return the last question to each PACS that named each of these studies and nothing else.

    The PACS that was asked last comes first. A study that no question has named is left out.
    """
    asked: dict[Key, dict[str | None, Asked]] = {}
    keys = set(wanted)
    before: int | None = None
    while keys:
        query = (
            select(FindWindow, Cycle.started_on)
            .outerjoin(Cycle, Cycle.id == FindWindow.cycle_id)
            .where(
                FindWindow.start_date.is_(None),
                FindWindow.end_date.is_(None),
                or_(
                    *(
                        FindWindow.query[key].as_string().is_not(None)
                        for key in (STUDY_UID, ACCESSION_NUMBER)
                    )
                ),
            )
            .order_by(FindWindow.id.desc())
            .limit(_AT_ONCE)
        )
        if before is not None:
            query = query.where(FindWindow.id < before)
        rows = (await session.execute(query)).all()
        for window, began in rows:
            named = list(named_in(window.query))
            question = Asked(
                peer=window.peer,
                on=window.asked_on,
                outcome=window.outcome,
                matches=window.matches or 0,
                message=window.message,
                since=began,
                together=len(named),
            )
            for key in keys.intersection(named):
                asked.setdefault(key, {}).setdefault(window.peer, question)
        if len(rows) < _AT_ONCE:
            break
        before = rows[-1][0].id
    return asked


def named_in(query: Any) -> Iterable[Key]:  # noqa: ANN401 - what a window recorded
    """Return what the keys of a question name, where it names single studies and nothing else."""
    if not isinstance(query, dict) or len(query) != 1:
        return []  # with another key, "none" does not say that there is no such study
    ((keyword, value),) = query.items()
    return [(keyword, one) for one in str(value).split("\\")]
