"""What earlier finds have found is held against the next: studies day by day, and wide windows."""

from datetime import date, datetime

import pytest

from schema import record_found
from schema.cycles import add_window, start_cycle
from schema.finding.answer import StudyAnswer
from schema.finding.per_day import known_per_day
from schema.finding.windows import cut_at, widest_answered
from schema.tables.columns import utcnow


async def test_the_studies_of_each_day_that_a_pacs_has_are_known(db):
    days = [datetime.fromisoformat(f"2024-01-0{day}") for day in (1, 1, 5)] + [None]
    async with db.begin() as session:
        for peer in ("pacs", "other"):
            answers = [
                StudyAnswer(study_uid=f"1.{n}", study_date=day) for n, day in enumerate(days)
            ]
            await record_found(session, answers, peer=peer)
    async with db.session() as session:
        assert await known_per_day(session, "pacs") == {date(2024, 1, 1): 2, date(2024, 1, 5): 1}
        assert await known_per_day(session, "nobody") == {}


@pytest.mark.parametrize("query", [{}, {"PatientID": "5"}], ids=["all", "of one patient"])
async def test_what_was_asked_for_with_a_key_says_nothing_about_windows_without_one(db, query):
    async with db.begin() as session:
        cycle = await start_cycle(session, "find", "pacs", "NODE", 1)
        for outcome, covered in (("complete", utcnow()), ("truncated", None)):
            await add_window(
                session,
                cycle_id=cycle,
                peer="pacs",
                query=query,
                start_date=date(2024, 1, 1),
                end_date=date(2024, 12, 31),
                outcome=outcome,
                matches=7,
                facts={"covered_on": covered},
            )
    async with db.session() as session:
        assert await widest_answered(session, "pacs") == (0 if query else 366)
        assert await cut_at(session, "pacs") == (None if query else 7)
